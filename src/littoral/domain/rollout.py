"""Rollout: how a changed deployment reaches everybody, step by step, and what holds it back."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

NEXT: Final = ".next"
"""Ends the name under which the new version of a deployment runs beside it."""
RolloutState: TypeAlias = Literal["settled", "running", "paused", "undone"]
RolloutAct: TypeAlias = Literal["pause", "resume", "undo", "promote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The steps of a change, and the bounds within which the new version must stay.

    At each of ``steps`` (percent of requests) it stays for ``minutes`` and ``requests`` of its own.
    ``nodes`` is the share of nodes that try it before the last step. ``latency`` bounds the ratio
    of the 90th percentiles, new to old; ``errors`` and ``quality`` are points that it may be worse
    by. With ``golden``, so many scores of the same items must be given for both before the first
    step is passed.
    """

    steps: tuple[int, ...] = (1, 5, 25, 100)
    minutes: int = 10
    requests: int = 200
    nodes: float = 1.0
    latency: float = 1.15
    errors: float = 0.5
    quality: float = 2.0
    golden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What requests to one of both versions took: seconds to the first token and for each further.

    ``failed`` of ``total`` requests got no answer; those that callers gave up count as neither.
    """

    firsts: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    failed: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Whether a step is passed, failed, or needs to be watched for longer; and why, in words."""

    verdict: Literal["accept", "reject", "more"]
    why: str
