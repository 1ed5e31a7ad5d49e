"""Identity: who a joined node is, its key and its certificates, as its disk keeps them.

Two files change together when the key does. The new key is written first, under another name, and
becomes the key when the chain on disk is the new one's: a crash between both heals on reading.
"""

from dataclasses import dataclass

import msgspec

from littoral.domain.enrolment import (
    AUTHORITIES,
    CARD,
    CHAIN,
    KEY,
    NEXT_KEY,
    NodeIdentity,
)
from littoral.domain.errors import Damaged, Denied, InvalidInput, WrongAuthority
from littoral.domain.ids import NodeId
from littoral.domain.ports import Disk, Failpoints
from littoral.domain.snapshot import Anchors
from littoral.domain.units import Micros
from littoral.trust import certificate as trust
from littoral.trust.signature import key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this node is, in this run and this build."""

    node: NodeId
    name: str
    boot: str
    build: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A joined node's identity, its key (PEM), its chain, and the roots that it trusts."""

    identity: NodeIdentity
    key: str
    chain: str
    ca: str

    @property
    def life(self) -> trust.Life:
        """Of the node's own certificate."""
        return trust.life_of(self.chain)

    @property
    def anchors(self) -> Anchors:
        """Whose snapshots to take, as control told at the joining."""
        who = self.identity
        publics = [bytes.fromhex(public) for public in who.snapshot_keys]
        signers = {key_id(public): public for public in publics}
        return Anchors(cluster=who.cluster, site=who.site, signers=signers)


class IdentityStore:
    """Reads and writes who a node is.

    Args:
        disk: The node's data folder.
        failpoints: Passed when something was written.
    """

    def __init__(self, disk: Disk, failpoints: Failpoints) -> None:
        self._disk = disk
        self._failpoints = failpoints

    def read(self) -> Credentials | None:
        """Who this node is; None where it has not joined.

        Raises:
            Damaged: What is there does not belong together.
        """
        card = self._disk.read(CARD)
        if card is None:
            return None
        try:
            identity = msgspec.json.decode(card, type=NodeIdentity)
            chain, ca = self._text(CHAIN), self._text(AUTHORITIES)
            key = self._healed_key(chain)
            if trust.holder(chain).node != identity.node:
                raise Damaged("the certificate in identity/ is another node's: join again")
        except (msgspec.DecodeError, InvalidInput, ValueError) as error:
            raise Damaged(f"the files in identity/ cannot be used: {error}; join again") from error
        return Credentials(identity=identity, key=key, chain=chain, ca=ca)

    def next_key(self, noise: bytes) -> str:
        """The key that is to be the next one; made, and written, where there is none."""
        kept = self._disk.read(NEXT_KEY)
        if kept is not None:
            return kept.decode()
        made = trust.make_key(noise)
        self._disk.write(NEXT_KEY, made.encode())
        return made

    def drop_next_key(self) -> None:
        """There is no next key (any more)."""
        self._disk.remove(NEXT_KEY)

    def take(self, identity: NodeIdentity, *, key: str, chain: str, ca: str) -> Credentials:
        """Write who this node is from now on; the identity last: it makes the rest count.

        Raises:
            WrongAuthority: The chain is not this key's, this node's, or of these roots.
            StorageFull: No room; what was there stands.
        """
        check_chain(chain, ca, key=key, node=identity.node, cluster=identity.cluster)
        self._disk.write(AUTHORITIES, ca.encode())
        self._disk.write(CHAIN, chain.encode())
        self._failpoints.hit("identity.written")
        self._disk.write(KEY, key.encode())
        self._disk.write(CARD, msgspec.json.encode(identity))
        self._disk.remove(NEXT_KEY)
        return Credentials(identity=identity, key=key, chain=chain, ca=ca)

    def forget(self) -> None:
        """This machine is no node any more."""
        for name in (CARD, CHAIN, KEY, NEXT_KEY, AUTHORITIES):
            self._disk.remove(name)

    def _text(self, name: str) -> str:
        kept = self._disk.read(name)
        if kept is None:
            raise Damaged(f"{name} is missing: join again with --rejoin")
        return kept.decode("ascii")

    def _healed_key(self, chain: str) -> str:
        """The chain's key: the present one, or the next, which then becomes the present one."""
        wanted = trust.pin(chain)
        for name in (KEY, NEXT_KEY):
            kept = self._disk.read(name)
            if kept is not None and trust.pin_of_key(kept.decode()) == wanted:
                if name == NEXT_KEY:
                    self._disk.write(KEY, kept)
                    self._disk.remove(NEXT_KEY)
                return kept.decode()
        raise Damaged("the key in identity/ is not that of its certificate: join again")


def check_chain(chain: str, ca: str, *, key: str, node: NodeId, cluster: str) -> None:
    """Refuse a chain that is not ours; its dates are those of its issuer's clock.

    Raises:
        WrongAuthority: It is not this key's, this node's, or not of these roots.
    """
    try:
        begin = trust.life_of(chain).begin_us
        found = trust.verified(chain, ca, at_us=Micros(begin + trust.EARLY_US))
    except (InvalidInput, Denied) as error:
        raise WrongAuthority("control's certificate for this node is not of its own roots") from (
            error
        )
    if (found.node, found.cluster) != (node, cluster) or trust.pin(chain) != trust.pin_of_key(key):
        raise WrongAuthority("control answered with another node's certificate")
