"""Request, Candidate, Decision, Prediction: the question of where, and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from littoral.domain.endpoint import Capability
from littoral.domain.ids import EndpointId, RequestId
from littoral.domain.reach import RESIDENCIES, Residency
from littoral.domain.units import Seconds, Tokens

Reason: TypeAlias = Literal["residency", "capability", "context", "unready", "deadline", "policy"]
"""Why a candidate was rejected, in the order the filters run; but ``policy`` is the first of them.
From ``unready`` to ``deadline``, waiting may help."""
Why: TypeAlias = Literal[
    "cheapest",
    "fastest",
    "safest",
    "warm",
    "only",
    "least_miss",
    "retry",
    "cached",
    "shed",
    "none",
    "escalated",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What placement must know of a request: sizes, needs and the deadline, never its content.

    ``length`` is the log half-width from p50 to p90 of the output; ``miss_cost`` what a missed
    deadline costs. ``barred`` are endpoints that its policy does not allow.
    """

    id: RequestId
    model: str
    tokens_in: Tokens
    tokens_out: Tokens
    needs: frozenset[Capability] = frozenset()
    total_s: Seconds | None = None
    length: float = 0.0
    miss_cost: float = 0.0
    residency: Residency = "any"
    barred: frozenset[EndpointId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One endpoint that serves the model, with what filters and scores read.

    ``within`` are the residencies that allow the way there.
    """

    id: EndpointId
    ready: bool
    slots: int
    in_flight: int
    context: Tokens
    capabilities: frozenset[Capability]
    price_in: float
    price_out: float
    within: frozenset[Residency] = frozenset(RESIDENCIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the chosen candidate is expected to take and to cost."""

    candidate: EndpointId
    coefficients: int
    first_p50_s: Seconds
    total_p50_s: Seconds
    total_p90_s: Seconds
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: who, why, the prediction, and the count of every rejection."""

    request: RequestId
    chosen: EndpointId | None
    why: Why
    prediction: Prediction | None
    rejected: Mapping[Reason, int]
