"""A cluster's certificates for tests, made as the product makes them, from a seed."""

from dataclasses import dataclass, field

from littoral.domain.ids import NodeId
from littoral.domain.units import DAY_US, Micros
from littoral.testing.entropy import SeededEntropy
from littoral.trust import certificate as trust

NOW = Micros(1_800_000_000_000_000)
NODE = NodeId("nd_" + "b" * 26)


@dataclass
class Cluster:
    """A root, an intermediate, and what they sign. ``now`` is when."""

    name: str = "cl_" + "a" * 26
    seed: int = 1
    now: Micros = NOW
    root: str = ""
    entropy: SeededEntropy = field(init=False)

    def __post_init__(self) -> None:
        self.entropy = SeededEntropy(self.seed)
        self.root_key = self.key()
        self.root = trust.root(self.root_key, cluster=self.name, life=self.life(trust.ROOT_US))
        above = trust.Issuer(certificate=self.root, key=self.root_key)
        key = self.key()
        made = trust.intermediate(
            key, above, cluster=self.name, life=self.life(trust.INTERMEDIATE_US)
        )
        self.issuer = trust.Issuer(certificate=made, key=key)

    def key(self) -> str:
        return trust.make_key(self.entropy.bytes(trust.KEY_BYTES))

    def life(self, us: int = trust.LEAF_US) -> trust.Life:
        return trust.life(self.entropy.bytes(16), now_us=self.now, us=us)

    def chain(self, csr: str, node: NodeId = NODE) -> str:
        """A node's chain for a request."""
        made = trust.leaf(csr, self.issuer, node=node, cluster=self.name, life=self.life())
        return made + self.issuer.certificate

    def node(self, node: NodeId = NODE) -> tuple[str, str]:
        """A node's chain and key."""
        key = self.key()
        return self.chain(trust.request(key), node), key

    def server(self, *names: str) -> trust.Issuer:
        """Control's chain and key."""
        key = self.key()
        made = trust.server(
            key, self.issuer, cluster=self.name, names=names, life=self.life(7 * DAY_US)
        )
        return trust.Issuer(certificate=made + self.issuer.certificate, key=key)
