"""Remote endpoints: what each node may know of the engines of the others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.node import Node
from littoral.domain.session import Remotes
from littoral.domain.stream import Via

_SHOWN = frozenset({"ready", "degraded", "starting", "draining"})


def remotes_of(node: NodeId, nodes: Sequence[Node]) -> Remotes:
    """Return the endpoints of other nodes that are heard of, each with its way from this one."""
    others = (each for each in nodes if each.id != node and each.state == "connected")
    return Remotes(endpoints=tuple(found for each in others for found in _endpoints(each)))


def _endpoints(other: Node) -> Iterator[Endpoint]:
    endpoints = other.status.endpoints if other.status is not None else ()
    for endpoint in endpoints:
        if endpoint.state in _SHOWN:
            via = Via(node=other.id, endpoint=endpoint.id, path="relay")
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
