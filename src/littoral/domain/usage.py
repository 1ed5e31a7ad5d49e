"""UsageRecord: what one attempt used; UsageSum: what many used together."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.units import Micros, Tokens

CACHE: Final = EndpointId("cache")
"""The endpoint of what no engine answered, because the answer was known."""
UsageStatus: TypeAlias = Literal["ok", "cancelled", "failed", "interrupted"]
"""``interrupted``: our own process ended in the middle; counts are those of relayed events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One attempt of one request, with the tokens that count.

    ``estimated`` marks counts that come from relayed events, not from the engine's own usage.
    Times are microseconds; ``first_us`` and ``total_us`` count from ``at_us``. ``cost`` is in the
    platform's currency. ``tag`` is the label of its key or policy, empty where neither has one.
    """

    request: RequestId
    attempt: int
    project: ProjectId
    key: KeyId
    model: str
    deployment: DeploymentName
    endpoint: EndpointId
    status: UsageStatus
    streamed: bool
    estimated: bool
    tokens_in: Tokens
    tokens_cached: Tokens
    tokens_out: Tokens
    at_us: Micros
    first_us: int
    total_us: int
    predicted_us: int
    predicted_p90_us: int
    cost: float
    tag: str = ""
    decided: int = 0
    """Why this place, and how many others were rejected for what: see ``domain.decided``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """One row of a usage report; the fields not grouped by are empty."""

    project: str = ""
    key: str = ""
    model: str = ""
    day: str = ""
    node: str = ""
    tag: str = ""
    requests: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    estimated: int = 0
