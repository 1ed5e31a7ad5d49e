"""Fleet: nodes as control knows them, their state judged by when they were last heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from littoral.control.worker import Bell
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.link import LIVELY, METERED, Peer, Rhythm
from littoral.domain.node import GONE, Node, NodeState, NodeStatus
from littoral.domain.ports import Clock, State
from littoral.domain.reach import Spot
from littoral.domain.session import Hello
from littoral.domain.site import DISCONNECT, Disconnect, SiteSpec
from littoral.domain.units import Micros, Seconds
from littoral.domain.view import PlacedEndpoint

DISCONNECTED_S = LIVELY.lost_s
STEADY_SHARE = 0.8
"""Of a beat: how long after its first sign of life a node that was doubted must give another."""
AWAY = frozenset({"disconnected", "lost", "revoked", "replaced"})
"""States of nodes that are not spoken with."""
_PREFIX = "node/"


@dataclass(slots=True)
class _Heard:
    """One node's row, and when it last spoke (None: not since this start, or gone)."""

    node: Node
    at: Seconds | None
    rhythm: Rhythm = LIVELY
    back: Seconds | None = None
    """When it was first heard again after it had been doubted; None: it is not doubted."""


def spot_of(node: Node) -> Spot:
    """Where a node stands."""
    return Spot(site=node.site, tier=node.tier)


class Fleet:
    """Every node that ever joined; rows are kept, what nodes say of themselves is not.

    Args:
        state: Where rows are kept.
        clock: Judges who is suspect.
    """

    def __init__(self, state: State, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.bell = Bell()
        """Rings when a node came, went, or said something new of itself."""
        self._sites: Mapping[str, Disconnect] = {}
        self._rows = 0
        self._spots: tuple[int, Mapping[NodeId, Spot]] = (-1, {})
        self._heard = {
            node.id: _Heard(node, None)
            for node in (
                msgspec.json.decode(row, type=Node) for row in state.values(_PREFIX).values()
            )
        }

    def row(self, hello: Hello) -> Node:
        """Write down the node that opens a session and return its row."""
        kept = self.kept(hello.node)
        now = self._clock.wall()
        if kept is None:
            node = Node(
                id=hello.node, name=hello.name, state="joined", seen_us=now, build=hello.build
            )
        else:
            name = hello.name if kept.enrolled is None else kept.name
            node = replace(kept, name=name, seen_us=now, build=hello.build)
        self._state.put_values(row_of(node))
        return node

    def joined(self, node: Node, rhythm: Rhythm = LIVELY) -> None:
        """A session of this node is open."""
        self._heard[node.id] = _Heard(node, self._clock.now(), rhythm)
        self._changed()

    def rhythm(self, node: Node) -> Rhythm:
        """How often this node says that it lives: seldom where its site's link is metered."""
        return METERED if agreed(self._state, node.site).metered else LIVELY

    def kept(self, node: NodeId) -> Node | None:
        """The row of a node; None where there is none."""
        heard = self._heard.get(node)
        return None if heard is None else heard.node

    def learn(self, node: Node) -> None:
        """A row was written: from now on the node is judged by it."""
        heard = self._heard.get(node.id)
        if heard is None:
            self._heard[node.id] = _Heard(node, None)
        else:
            old = heard.node
            heard.node = replace(node, seen_us=old.seen_us, status=old.status, build=old.build)
        self._changed()

    def forget(self, node: NodeId) -> None:
        """A row was removed."""
        self._heard.pop(node, None)
        self._changed()

    def _changed(self) -> None:
        self._rows += 1
        self.bell.ring()

    def hears(self, node: NodeId) -> bool:
        """Whether a session of this node is open."""
        heard = self._heard.get(node)
        return heard is not None and heard.at is not None

    def agree(self, sites: Mapping[str, Disconnect]) -> None:
        """Judge nodes by what is agreed for their sites."""
        self._sites = sites

    def barred(self, node: NodeId, *, verified: bool) -> str:
        """Why a node may have no session; empty where it may.

        Args:
            node: Who it says it is.
            verified: Whether its certificate says so, too, and was let in by its serial.
        """
        if not verified:
            return self.refusal(node, None)
        kept = self.kept(node)
        enrolled = None if kept is None else kept.enrolled
        return self.refusal(node, enrolled.serials[0] if enrolled is not None else "")

    def admit(self, peer: Peer) -> str:
        """Why a node may not speak to control, by its certificate; empty where it may."""
        return self.refusal(peer.node, peer.serial, until_us=peer.until_us)

    def written(self, node: NodeId) -> Node | None:
        """The row of a node as it is written down, whether or not it was learned."""
        row = self._state.value(_PREFIX + node)
        return None if row is None else msgspec.json.decode(row, type=Node)

    def refusal(self, node: NodeId, serial: str | None, *, until_us: Micros = Micros(0)) -> str:
        """Why a node may not speak to control; empty where it may.

        A certificate that holds longer than the last one that is known was given by a control
        whose state was lost since, and restored from an older copy: it is good.

        Args:
            node: Who it says it is.
            serial: Of the certificate that it showed, hexadecimal; None: none was asked for.
            until_us: When that certificate ends.
        """
        kept = self.kept(node)
        if serial is None:
            enrolled = kept is not None and kept.enrolled is not None
            return "it shows no certificate" if enrolled else ""
        if kept is None or kept.enrolled is None:
            return "it is not a node of this cluster (any more)"
        if kept.mark in GONE:
            return f"it was {kept.mark}"
        if serial not in kept.enrolled.serials and until_us <= kept.enrolled.until_us:
            return "its certificate is not one of its last two"
        return ""

    def beat(self, node: NodeId, status: NodeStatus | None) -> None:
        """A node was heard, perhaps with news of itself.

        Credentials of endpoints end here: nobody reads them back from control.
        """
        heard, now = self._heard.get(node), self._clock.now()
        if heard is None:
            return  # it was removed meanwhile
        if heard.at is not None and now - heard.at >= heard.rhythm.suspect_s:
            heard.back = now
        elif heard.back is not None and now - heard.back >= STEADY_SHARE * heard.rhythm.beat_s:
            heard.back = None
        heard.at = now
        heard.node = replace(heard.node, seen_us=self._clock.wall())
        if status is None:
            return
        endpoints = tuple(replace(item, credential=None) for item in status.endpoints)
        before = heard.node.status
        kept = replace(status, endpoints=endpoints)
        heard.node = replace(heard.node, status=kept)
        if before is None or before.endpoints != endpoints:
            self.bell.ring()  # the rest of a status is nobody's business but the fleet's

    def left(self, node: NodeId) -> None:
        """The node's session has ended."""
        heard = self._heard.get(node)
        if heard is not None:
            heard.at = None
        self.bell.ring()

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self._heard)

    def nodes(self) -> Sequence[Node]:
        """All nodes by id, each with its present state."""
        return [self._judged(self._heard[name]) for name in sorted(self._heard)]

    def spots(self) -> Mapping[NodeId, Spot]:
        """Where each node stands that may be called, or call; one object until it changes."""
        rows, found = self._rows, self._spots
        if found[0] != rows:
            nodes = [self._heard[name].node for name in sorted(self._heard)]
            spots = {node.id: spot_of(node) for node in nodes if node.mark not in GONE}
            found = self._spots = rows, found[1] if spots == found[1] else spots
        return found[1]

    def node(self, name: str) -> Node:
        """One node.

        Raises:
            UnknownName: No node has this id; the message lists the known ones.
        """
        found = self._heard.get(NodeId(name))
        if found is None:
            known = ", ".join(sorted(self._heard)) or "none"
            raise UnknownName(f"no node has the id {name!r}; known: {known}")
        return self._judged(found)

    def endpoints(self) -> Sequence[PlacedEndpoint]:
        """Every endpoint of every node that is not disconnected."""
        return [
            PlacedEndpoint(node=node.id, endpoint=endpoint)
            for node in self.nodes()
            if node.status is not None and node.state not in AWAY
            for endpoint in node.status.endpoints
        ]

    def _judged(self, heard: _Heard) -> Node:
        state = self._state_of(heard)
        return heard.node if heard.node.state == state else replace(heard.node, state=state)

    def _state_of(self, heard: _Heard) -> NodeState:
        mark = heard.node.mark
        if mark == "revoked" or mark == "replaced":  # noqa: PLR1714  the type checker narrows these
            return mark
        if heard.at is None:
            return self._away(heard.node)
        silent = self._clock.now() - heard.at
        if silent >= heard.rhythm.lost_s:
            return "disconnected"
        if silent >= heard.rhythm.suspect_s or heard.back is not None:
            return "suspect"
        if mark:
            return mark
        return "connected" if heard.node.status is not None else "joined"

    def _away(self, node: Node) -> NodeState:
        """The state of a node that has no session: by its site's policy it may count as lost."""
        if node.seen_us == 0:
            return "joined"
        after = self._sites.get(node.site, DISCONNECT).lost_after_s
        silent_us = self._clock.wall() - node.seen_us
        return "lost" if after and silent_us > after * 1_000_000 else "disconnected"


def row_of(node: Node) -> Mapping[str, bytes | None]:
    """What is written of a node: not what it says of itself, which it says anew."""
    return {_PREFIX + node.id: msgspec.json.encode(replace(node, state="joined", status=None))}


def no_row(node: NodeId) -> Mapping[str, bytes | None]:
    """What removes a node's row."""
    return {_PREFIX + node: None}


def agreed(state: State, site: str) -> SiteSpec:
    """What is agreed for a site; for one that is not declared, what is agreed by default."""
    found = state.get("Site", site)
    return found.spec if found and isinstance(found.spec, SiteSpec) else SiteSpec()


def nodes_at(state: State, site: str) -> Sequence[str]:
    """The names of all nodes that stand at a site, gone ones left out."""
    rows = (msgspec.json.decode(row, type=Node) for row in state.values(_PREFIX).values())
    return sorted(node.name for node in rows if node.site == site and node.mark not in GONE)
