"""Remote endpoints: what each node may know of the engines of the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import anyio

from littoral.control.fleet import Fleet
from littoral.control.worker import Bell
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import NodeId
from littoral.domain.neighbour import may_meet, steady, ways_to
from littoral.domain.node import Node
from littoral.domain.reach import HOME, Residency, Spot, within
from littoral.domain.session import Remotes
from littoral.domain.units import Seconds

_THERE = frozenset({"connected", "cordoned"})


Ways: TypeAlias = Callable[[Node, tuple[Residency, ...]], tuple[Endpoint, ...]]
LOOK_S = Seconds(1.0)
"""How often the state of nodes is looked at without news of them."""
MOST_PAIRS = 10_000
"""Pairs of places whose ways are remembered."""
GATHER_S = Seconds(0.1)
"""For so long more news are waited for: when all come back at once, each would be told of each."""


class Neighbours:
    """What nodes are told of each other, looked at once for all sessions.

    Args:
        fleet: Who is there.
        look_s: After how long it is looked at without news: nodes fall silent without a word.

    Attributes:
        bell: Rings when what some node is to be told may have changed.
    """

    def __init__(self, fleet: Fleet, *, look_s: Seconds = LOOK_S) -> None:
        self._fleet = fleet
        self._look_s = look_s
        self.bell = Bell()
        self._nodes: Sequence[Node] = ()
        self._spots: Mapping[NodeId, Spot] = {}
        self._seen: object = None
        self._doors: Mapping[NodeId, str] = {}
        self._trips: dict[NodeId, Seconds] = {}
        self._ways: dict[tuple[NodeId, tuple[Residency, ...]], tuple[Endpoint, ...]] = {}

    async def run(self) -> None:
        """Look again and again until cancelled; news that come together are looked at together."""
        rung = self._fleet.bell
        while True:
            heard = rung.count
            self._look()
            with anyio.move_on_after(self._look_s):
                await rung.wait(heard)
            await anyio.sleep(GATHER_S)

    def of(self, node: NodeId) -> Remotes:
        """What one node is to be told, as of the last look."""
        told = remotes_of(node, self._nodes, self._spots, ways=self._to)
        return replace(told, peers=doors_of(node, self._doors, self._spots))

    @property
    def several(self) -> bool:
        """Whether there is more than one node that may be called, or call."""
        return len(self._spots) > 1

    def _look(self) -> None:
        nodes = self._fleet.nodes()
        there = [node for node in nodes if node.state in _THERE and _serves(node)]
        spots = self._fleet.spots()
        doors = {node.id: node.status.peer for node in nodes if node.status and node.status.peer}
        for node in there:
            self._trips[node.id] = steady(self._trips.get(node.id, 0.0), trip_of(node))
        shown = [(node.id, node.status.endpoints) for node in there if node.status]
        seen = spots, doors, shown, dict(self._trips)
        if seen != self._seen:
            self._nodes, self._spots, self._doors, self._seen = there, spots, doors, seen
            self._ways.clear()
            self.bell.ring()

    def _to(self, other: Node, residencies: tuple[Residency, ...]) -> tuple[Endpoint, ...]:
        """The ways to a node's endpoints: the same for all who may use them alike."""
        known = other.id, residencies
        if known not in self._ways:
            self._ways[known] = ways_over(other, residencies, rtt_s=self._trips[other.id])
        return self._ways[known]


def _serves(node: Node) -> bool:
    """Whether others may use anything of a node."""
    return node.status is not None and bool(node.status.endpoints)


def remotes_of(
    node: NodeId, nodes: Sequence[Node], spots: Mapping[NodeId, Spot], *, ways: Ways | None = None
) -> Remotes:
    """Return the endpoints of other nodes that are heard of, each with its way from this one.

    Args:
        node: Who asks.
        nodes: All nodes, each with its present state.
        spots: Where they stand; who stands nowhere is not told of.
        ways: Finds the ways to a node, as ``ways_over`` does.
    """
    here = spots.get(node)
    if here is None:
        return Remotes(endpoints=())
    others = (each for each in nodes if each.id != node and each.state in _THERE)
    return Remotes(
        endpoints=tuple(
            found
            for each in others
            if each.id in spots
            for found in (ways or ways_over)(each, _within(here, spots[each.id]))
        )
    )


@lru_cache(maxsize=MOST_PAIRS)
def _within(here: Spot, there: Spot) -> tuple[Residency, ...]:
    """The residencies that allow the way through control."""
    return within(here, (HOME, there))


def ways_over(
    other: Node, residencies: tuple[Residency, ...], *, rtt_s: Seconds = Seconds(0.0)
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a node as others see them that reach it through control.

    ``rtt_s`` is the round trip between control and that node, seconds.
    """
    endpoints = other.status.endpoints if other.status is not None else ()
    return tuple(ways_to(other.id, endpoints, path="relay", within=residencies, rtt_s=rtt_s))


def trip_of(node: Node) -> Seconds:
    """The round trip that a node measured to control, seconds; 0 where it has not, or is beside."""
    link = node.status.link if node.status is not None else None
    return Seconds(0.0) if link is None else link.rtt_s


def doors_of(
    node: NodeId, doors: Mapping[NodeId, str], spots: Mapping[NodeId, Spot]
) -> Mapping[NodeId, str]:
    """Where other nodes listen, as far as it may be of use to this one."""
    here = spots.get(node)
    if here is None:
        return {}
    return {
        other: door
        for other, door in sorted(doors.items())
        if other != node and other in spots and may_meet(here, spots[other], door)
    }
