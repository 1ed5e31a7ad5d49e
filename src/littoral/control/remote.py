"""Remote endpoints: what each node may know of the engines of the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.node import Node
from littoral.domain.reach import HOME, Residency, Spot, within
from littoral.domain.session import Remotes
from littoral.domain.stream import Via

_THERE = frozenset({"connected", "cordoned"})
_SHOWN = frozenset({"ready", "degraded", "starting", "draining"})


def remotes_of(node: NodeId, nodes: Sequence[Node], spots: Mapping[NodeId, Spot]) -> Remotes:
    """Return the endpoints of other nodes that are heard of, each with its way from this one.

    Args:
        node: Who asks.
        nodes: All nodes, each with its present state.
        spots: Where they stand; who stands nowhere is not told of.
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
            for found in _endpoints(each, within(here, (HOME, spots[each.id])))
        )
    )


def _endpoints(other: Node, residencies: tuple[Residency, ...]) -> Iterator[Endpoint]:
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
