"""Remote endpoints: what each node may know of the engines of the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from littoral.control.fleet import Fleet
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.node import Node
from littoral.domain.ports import Clock
from littoral.domain.reach import HOME, Residency, Spot, within
from littoral.domain.session import Remotes
from littoral.domain.stream import Via
from littoral.domain.units import Seconds

_THERE = frozenset({"connected", "cordoned"})
_SHOWN = frozenset({"ready", "degraded", "starting", "draining"})


Ways: TypeAlias = Callable[[Node, tuple[Residency, ...]], tuple[Endpoint, ...]]
LOOK_S = Seconds(1.0)
"""How often the state of nodes is looked at without news of them."""


class Neighbours:
    """What nodes are told of each other, looked at once for all sessions.

    Args:
        fleet: Who is there.
        clock: Tells when to look again.
        look_s: After how long.
    """

    def __init__(self, fleet: Fleet, clock: Clock, *, look_s: Seconds = LOOK_S) -> None:
        self._fleet = fleet
        self._clock = clock
        self.look_s = look_s
        self._looked: tuple[int, Seconds] | None = None
        self._nodes: Sequence[Node] = ()
        self._spots: Mapping[NodeId, Spot] = {}
        self._seen: object = None
        self._number = 0
        self._ways: dict[tuple[NodeId, tuple[Residency, ...]], tuple[Endpoint, ...]] = {}

    def number(self) -> int:
        """A number that rises when what some node is to be told may have changed."""
        rung, now = self._fleet.bell.count, self._clock.now()
        if self._looked is None or self._looked[0] != rung or now - self._looked[1] >= self.look_s:
            self._looked = (rung, now)
            self._look()
        return self._number

    def of(self, node: NodeId) -> Remotes:
        """What one node is told, as it was when ``number`` was asked for last."""
        return remotes_of(node, self._nodes, self._spots, ways=self._to)

    @property
    def several(self) -> bool:
        """Whether there is more than one node that may be called, or call."""
        return len(self._spots) > 1

    def _look(self) -> None:
        there = [node for node in self._fleet.nodes() if node.state in _THERE and node.status]
        spots = self._fleet.spots()
        seen = spots, [(node.id, node.status.endpoints) for node in there if node.status]
        if seen != self._seen:
            self._nodes, self._spots, self._seen = there, spots, seen
            self._number += 1
            self._ways.clear()

    def _to(self, other: Node, residencies: tuple[Residency, ...]) -> tuple[Endpoint, ...]:
        """The ways to a node's endpoints: the same for all who may use them alike."""
        known = other.id, residencies
        if known not in self._ways:
            self._ways[known] = ways_to(other, residencies)
        return self._ways[known]


def remotes_of(
    node: NodeId, nodes: Sequence[Node], spots: Mapping[NodeId, Spot], *, ways: Ways | None = None
) -> Remotes:
    """Return the endpoints of other nodes that are heard of, each with its way from this one.

    Args:
        node: Who asks.
        nodes: All nodes, each with its present state.
        spots: Where they stand; who stands nowhere is not told of.
        ways: Finds the ways to a node, as ``ways_to`` does.
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
            for found in (ways or ways_to)(each, within(here, (HOME, spots[each.id])))
        )
    )


def ways_to(other: Node, residencies: tuple[Residency, ...]) -> tuple[Endpoint, ...]:
    """Return the endpoints of a node as others see them: no address, no secret, a way there."""
    return tuple(_ways(other, residencies))


def _ways(other: Node, residencies: tuple[Residency, ...]) -> Iterator[Endpoint]:
    endpoints = other.status.endpoints if other.status is not None else ()
    for endpoint in endpoints:
        if endpoint.state in _SHOWN:
            reachable: tuple[Residency, ...] = ("any",) if endpoint.remote else residencies
            via = Via(node=other.id, endpoint=endpoint.id, path="relay", within=reachable)
            yield replace(
                endpoint,
                id=EndpointId(f"{endpoint.id}@{other.id}"),
                address=None,
                credential=None,
                engine_model=endpoint.serves,
                paths={},
                remote=True,
                via=via,
            )
