"""Way: how an endpoint is reached, and what that says of it before anybody has measured it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from littoral.cost.predictor import unknown
from littoral.domain.endpoint import Endpoint, Folded
from littoral.domain.reach import Residency, Spot, within
from littoral.domain.stream import PathKind
from littoral.domain.units import Seconds

UNMEASURED_S: Final[Mapping[PathKind, float]] = {"relay": 0.1, "peer": 0.001}
"""Round trips to expect before one was measured, s."""


def route_of(endpoint: Endpoint, node: str) -> str:
    """Where a request goes, as its answer says it."""
    via = endpoint.via
    if via is None:
        return f"{node}/{endpoint.id}"
    trip = f"; rtt_ms={via.rtt_s * 1000:.0f}" if via.rtt_s else ""
    return f"{via.node}/{via.endpoint}; via={via.path}{trip}"


def unmeasured(endpoint: Endpoint) -> Folded:
    """What to expect of an endpoint that nobody has measured: the way there is known."""
    folded = unknown(endpoint.id)
    if endpoint.via is None:
        return folded
    via = endpoint.via
    return replace(folded, t0=Seconds(folded.t0 + (via.rtt_s or UNMEASURED_S[via.path])))


def same_door(one: Endpoint, other: Endpoint) -> bool:
    """Whether requests to both go the same way."""
    return _door(one) == _door(other)


def _door(endpoint: Endpoint) -> tuple[object, ...]:
    via = endpoint.via
    way = None if via is None else (via.node, via.endpoint, via.path)
    named = (endpoint.serves, endpoint.deployment, endpoint.paths)
    return (endpoint.address, endpoint.credential, *named, way)


def lies_within(endpoint: Endpoint, here: Spot) -> tuple[Residency, ...]:
    """The residencies that allow a place; what leaves for an API outside is nowhere of ours."""
    if endpoint.via is not None:
        return endpoint.via.within
    return ("any",) if endpoint.remote else within(here, (here,))
