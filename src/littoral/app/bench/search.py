"""Which rate to try next: double until it is too much, then halve the gap, in steps of a factor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.app.bench.result import Result

MOST_FAILED: Final = 0.01
MOST_RATE: Final = 100_000.0
CLOSE: Final = 1.02
"""Two rates nearer to each other than this factor are one."""
Verdict: TypeAlias = Literal["good", "saturated", "misses", "failures", "client"]

TOO_MUCH: Final[frozenset[Verdict]] = frozenset(("saturated", "misses", "failures"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A rate that was tried, and what became of it."""

    rate: float
    verdict: Verdict


def judged(found: Result, *, target: float) -> Verdict:
    """Whether a service can take the rate of a run.

    Args:
        found: The run.
        target: Share of arrivals that must meet every objective, where there are some.

    Returns:
        ``client`` where this machine could not measure it; ``saturated`` where the queue grows;
        ``failures`` beyond 1 %; ``misses`` below the target; else ``good``.
    """
    if not found.health.valid:
        return "client"
    if found.steady.grows:
        return "saturated"
    if found.counts.failed > MOST_FAILED * found.counts.sent:
        return "failures"
    if found.goodput is not None and found.goodput.share.value < target:
        return "misses"
    return "good"


def following(points: Sequence[Point], *, first: float, steps: int) -> float | None:
    """The next rate to try.

    Args:
        points: What was tried, in that order.
        first: Where to begin, requests a second.
        steps: How many more to try once one was too much.

    Returns:
        A rate, or None at the end. One that this machine could not measure is tried once more.
    """
    if points and points[-1].verdict == "client":
        again = len(points) < 2 or points[-2].rate != points[-1].rate
        return points[-1].rate if again else None
    bad = [point.rate for point in points if point.verdict in TOO_MUCH]
    good = [point.rate for point in points if point.verdict == "good"]
    if not bad:
        doubled = max(good) * 2 if good else first
        return doubled if doubled <= MOST_RATE else None
    tried = len(points) - 1 - next(n for n, each in enumerate(points) if each.rate in bad)
    if tried >= steps:
        return None
    if not good:
        return min(bad) / 2
    low, high = max(good), min(bad)
    return float(f"{math.sqrt(low * high):.3g}") if high / low > CLOSE else None


def best(points: Sequence[Point]) -> float | None:
    """The highest rate that was good below every one that was not; None where none was."""
    bad = min((point.rate for point in points if point.verdict in TOO_MUCH), default=math.inf)
    return max((p.rate for p in points if p.verdict == "good" and p.rate < bad), default=None)
