"""Places: where each node stands, the pepper of its site, and how long its snapshots hold."""

from dataclasses import dataclass
from typing import Final

from littoral.control.check import Specs
from littoral.control.fleet import Fleet
from littoral.control.vault import Vault
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.node import Node
from littoral.domain.ports import Entropy, State
from littoral.domain.selector import Position
from littoral.domain.site import SiteSpec
from littoral.domain.snapshot import HOME_SITE
from littoral.domain.units import HOUR_US

PEPPER_BYTES: Final = 32
_PREFIX: Final = "site/pepper/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a snapshot must know of its node's place; ``life_us`` None: it holds for ever."""

    position: Position
    pepper: bytes
    life_us: int | None


def position_of(node: Node) -> Position:
    """Where a node stands."""
    return Position(site=node.site, tier=node.tier, labels=node.labels)


class Places:
    """Looks places up, and makes the pepper of a site when its first node needs it.

    Args:
        state: Where peppers are kept.
        vault: Seals them.
        fleet: Knows the nodes.
        entropy: Where peppers come from.
        home: The pepper of control's own site.
    """

    def __init__(
        self, state: State, vault: Vault, *, fleet: Fleet, entropy: Entropy, home: bytes
    ) -> None:
        self._state = state
        self._vault = vault
        self._fleet = fleet
        self._entropy = entropy
        self._peppers = {HOME_SITE: home}

    def of(self, node: NodeId, specs: Specs) -> Place:
        """Where a node stands; touches the state."""
        try:
            found = self._fleet.node(node)
        except UnknownName:
            return Place(position=Position(), pepper=self._pepper(HOME_SITE), life_us=None)
        spec = specs.get(("Site", found.site))
        agreed = spec if isinstance(spec, SiteSpec) else SiteSpec()
        joined = found.enrolled is not None
        return Place(
            position=position_of(found),
            pepper=self._pepper(found.site),
            life_us=agreed.snapshot_hours * HOUR_US if joined else None,
        )

    def _pepper(self, site: str) -> bytes:
        """The pepper of a site. One site's tells nothing of another's."""
        if site not in self._peppers:
            name = _PREFIX + site
            sealed = self._state.value(name)
            if sealed is None:
                sealed = self._vault.seal(self._entropy.bytes(PEPPER_BYTES), name)
                self._state.put_value(name, sealed)
            self._peppers[site] = self._vault.open(sealed, name)
        return self._peppers[site]
