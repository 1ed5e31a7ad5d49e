"""What is measured of a service, and how sure a figure is: one definition for runs and simulations.

Times are seconds. *Arrival* is the moment at which the schedule sends a request, never the moment
at which a busy client got around to it.

==================  ==========================================================================
TTFT                first token of the answer - arrival; an empty role chunk is no token
ITL                 gap between successive pieces of an answer; never averaged over a request
TPOT                (E2E - TTFT) / (tokens out - 1); undefined for one token
E2E                 last byte of the answer - arrival
delay               actual send - arrival: the client's own lateness
attainment          share of all arrivals that meet every objective; each failure is a miss
goodput             arrivals a second that meet every objective
==================  ==========================================================================

Percentiles are order statistics (nearest rank), their intervals those of the binomial distribution;
a mean's interval is that of the means of twenty batches, since answers that follow each other are
not independent.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, islice, pairwise

from littoral.cost.residual import Z95, wilson

BATCHES = 20
T19_95 = 2.093
"""Student's t, two-sided 95 %, 19 degrees of freedom: 20 batch means."""
T18_99 = 2.878
"""Student's t, two-sided 99 %, 18 degrees of freedom: a line through 20 batch means."""
EXACT = 400.0
"""Variance of a rank from which on the normal distribution stands in for the binomial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and the bounds between which its true value lies, in 95 of 100 such runs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a figure moves while time goes on.

    Args:
        slope: Units a second.
        sure: Whether zero lies outside the slope's 99 % interval.
    """

    slope: float
    sure: bool


def tail(count: int, chance: float, most: int) -> float:
    """P(at most ``most`` hits in ``count`` tries).

    Args:
        count: Tries, at least 0.
        chance: Of one hit, in (0, 1).
        most: At least 0.
    """
    return min(1.0, math.fsum(islice(_chances(count, chance), most + 1)))


def _chances(count: int, chance: float) -> Iterator[float]:
    """P(exactly 0, 1, 2, ... hits in ``count`` tries)."""
    odds = math.log(chance) - math.log1p(-chance)
    log = count * math.log1p(-chance)
    for hits in range(count + 1):
        yield math.exp(log)
        if hits < count:
            log += math.log((count - hits) / (hits + 1)) + odds


@cache
def needed(rank: float, *, misses: int = 1, doubt: float = 0.01) -> int:
    """How many samples a percentile needs before it is worth printing.

    The smallest n with P(at most ``misses`` of n samples lie above the percentile) <= ``doubt``.

    Args:
        rank: 0.99 for the 99th percentile; in (0, 1).
        misses: How many samples above it are too few.
        doubt: The risk that there are so few.

    Returns:
        Samples: for one miss and 1 % 64 (p90), 130 (p95), 662 (p99), 6 636 (p99.9).
    """
    low, high = misses, 1
    while tail(high, 1 - rank, misses) > doubt:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tail(middle, 1 - rank, misses) > doubt else (low, middle)
    return high


def quantile(ordered: Sequence[float], rank: float) -> float:
    """The smallest sample that at least the share ``rank`` of all does not exceed.

    Args:
        ordered: Samples in ascending order, at least one.
        rank: In (0, 1].
    """
    return ordered[max(0, math.ceil(rank * len(ordered) - 1e-9) - 1)]


def bounds(count: int, rank: float) -> tuple[int, int]:
    """The places of the two order statistics that enclose a percentile with 95 %.

    Args:
        count: Samples, at least 1.
        rank: In (0, 1).

    Returns:
        Two indices into the ordered samples, both within it.
    """
    spread = count * rank * (1 - rank)
    if spread > EXACT:
        half = Z95 * math.sqrt(spread)
        low, high = math.floor(count * rank - half), math.ceil(count * rank + half)
    else:
        low, high = _exact(count, rank)
    return max(0, low - 1), min(count - 1, high - 1)


def _exact(count: int, rank: float) -> tuple[int, int]:
    """Ranks (from 1) by the binomial distribution: each end is passed with at most 2.5 %.

    Samples above the percentile are counted where that is shorter.
    """
    chance = min(rank, 1 - rank)
    sums = list(accumulate(_chances(count, chance)))
    near = (bisect_right(sums, 0.025), bisect_left(sums, 0.975) + 1)
    return near if rank <= 0.5 else (count - near[1] + 1, count - near[0] + 1)


def percentile(ordered: Sequence[float], rank: float) -> Estimate | None:
    """A percentile and its interval, or None where the samples are too few to say.

    Args:
        ordered: Samples in ascending order.
        rank: In (0, 1); the median needs as many samples as any percentile below it would.
    """
    if len(ordered) < needed(max(rank, 1 - rank)):
        return None
    low, high = bounds(len(ordered), rank)
    return Estimate(value=quantile(ordered, rank), low=ordered[low], high=ordered[high])


def batches(values: Sequence[float]) -> list[float]:
    """The means of twenty batches of values that follow each other; empty below 40 values."""
    if len(values) < 2 * BATCHES:
        return []
    edges = [round(index * len(values) / BATCHES) for index in range(BATCHES + 1)]
    return [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def mean(values: Sequence[float]) -> Estimate | None:
    """The mean and its interval by batch means; None below 40 values.

    Args:
        values: In the order in which they arose.
    """
    parts = batches(values)
    if not parts:
        return None
    middle = math.fsum(values) / len(values)
    centre = math.fsum(parts) / BATCHES
    deviation = math.sqrt(math.fsum((x - centre) ** 2 for x in parts) / (BATCHES - 1))
    half = T19_95 * deviation / math.sqrt(BATCHES)
    return Estimate(value=middle, low=middle - half, high=middle + half)


def share(hits: int, count: int) -> Estimate:
    """A share and its interval (Wilson's score).

    Args:
        hits: 0 to ``count``.
        count: At least 1.
    """
    low, high = wilson(hits, count)
    return Estimate(value=hits / count, low=low, high=high)


def trend(times: Sequence[float], values: Sequence[float]) -> Trend | None:
    """The slope of a line through twenty batch means; None below 40 values.

    Args:
        times: Ascending, seconds, as many as there are values.
        values: In the same order.
    """
    xs, ys = batches(times), batches(values)
    if not xs:
        return None
    x0, y0 = math.fsum(xs) / BATCHES, math.fsum(ys) / BATCHES
    width = math.fsum((x - x0) ** 2 for x in xs)
    if width == 0:
        return None
    slope = math.fsum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / width
    left = math.fsum((y - y0 - slope * (x - x0)) ** 2 for x, y in zip(xs, ys, strict=True))
    half = T18_99 * math.sqrt(left / (BATCHES - 2) / width)
    return Trend(slope=slope, sure=abs(slope) > half)


def settled(values: Sequence[float]) -> int:
    """How many first values are still the start-up of a run (MSER-5).

    The cut, in batches of five and at most half of all, that makes the squared standard error of
    what is left the smallest.

    Args:
        values: In the order in which they arose.

    Source: White, K. P. (1997), An effective truncation heuristic for bias reduction.
    """
    groups = [math.fsum(values[at : at + 5]) / 5 for at in range(0, len(values) - 4, 5)]
    best, cut = math.inf, 0
    count, total, squares = 0, 0.0, 0.0
    for at in range(len(groups) - 1, -1, -1):
        count, total = count + 1, total + groups[at]
        squares += groups[at] ** 2
        if at <= len(groups) // 2 and count > 1:
            error = max(0.0, squares - total * total / count) / (count * count)
            if error <= best:
                best, cut = error, at
    return cut * 5
