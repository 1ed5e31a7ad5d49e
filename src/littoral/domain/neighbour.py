"""Neighbour: nodes that reach each other without control, and what they say to each other there.

Where a node listens for others is told by control, as a hint. Whoever dials it checks by its
certificate that it is that node, and who is no node of the own snapshot is not spoken with.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import Digest, EndpointId, NodeId
from littoral.domain.reach import Residency, Spot
from littoral.domain.stream import PathKind, Via
from littoral.domain.units import Seconds

SCHEME: Final = "peer:"
"""What an address of blobs begins with where a neighbour has them; its id follows."""
MOST_PIECE: Final = 256 << 10
"""Most bytes of a blob that one frame brings."""
SHOWN: Final = frozenset({"ready", "degraded", "starting", "draining"})
"""States of endpoints that others are told of."""
_STEP: Final = 1.5
_LEAST_S: Final = Seconds(0.002)


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A sign of life between neighbours, and its sender's endpoints where they changed."""

    number: int
    endpoints: tuple[Endpoint, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceAsk:
    """Please give me bytes of a blob; ``PieceAnswer`` has the same number."""

    number: int
    digest: Digest
    begin: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceAnswer:
    """Bytes of a blob (status 206), perhaps fewer than were asked for, or why not.

    404: it is not here; 416: not so much of it yet; 503: too much is asked for at once.
    """

    number: int
    status: int
    data: bytes = b""


def may_meet(here: Spot, there: Spot, address: str) -> bool:
    """Whether a node that listens at ``ip:port`` is worth to be dialled from here.

    On another site only an address that means the same everywhere is.
    """
    if here.site == there.site:
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def ways_to(
    node: NodeId,
    endpoints: Sequence[Endpoint],
    *,
    path: PathKind,
    within: tuple[Residency, ...],
    rtt_s: Seconds = Seconds(0.0),
) -> Iterator[Endpoint]:
    """The endpoints of a node as others see them: no address, no secret, a way there.

    Args:
        node: Who runs them.
        endpoints: As it shows them itself.
        path: How they are reached.
        within: The residencies that allow every hop of that way.
        rtt_s: Its round trip, seconds; 0 where nobody measured it.
    """
    for endpoint in endpoints:
        if endpoint.state in SHOWN and endpoint.via is None:
            reachable: tuple[Residency, ...] = ("any",) if endpoint.remote else within
            via = Via(node=node, endpoint=endpoint.id, path=path, rtt_s=rtt_s, within=reachable)
            yield replace(
                endpoint,
                id=EndpointId(f"{endpoint.id}@{node}" + (".peer" if path == "peer" else "")),
                address=None,
                credential=None,
                engine_model=endpoint.serves,
                paths={},
                remote=True,
                via=via,
            )


def steady(told: float, measured: float) -> Seconds:
    """The round trip to tell, s: what was told before, unless it is another one by now."""
    if told and measured and max(told, measured) <= max(_STEP * min(told, measured), _LEAST_S):
        return Seconds(told)
    return Seconds(float(f"{measured:.2g}"))
