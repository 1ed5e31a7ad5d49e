"""Residual: how right predictions were, once it is known what happened."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

TARGET: Final = 0.9
"""Share of outcomes that a p90 is to cover."""
Z95: Final = 1.959964


class Pair(NamedTuple):
    """What was promised and what it took, seconds; all above 0."""

    p50: float
    p90: float
    actual: float


class Accuracy(NamedTuple):
    """The figures of many pairs; nan where there are none.

    ``mdape`` is the median error by what it took, ``wape`` the sum of errors by the sum of what it
    took, ``bias`` above 0 where things took longer than promised. ``coverage`` is the share within
    p90, with its 95 % interval; ``sharpness`` the median of p90 by what it took; ``pinball`` the
    mean loss of the p90, seconds.
    """

    seen: int
    mdape: float
    wape: float
    bias: float
    coverage: float
    coverage_low: float
    coverage_high: float
    sharpness: float
    pinball: float


class Choice(NamedTuple):
    """One decision in hindsight: scores of who was chosen and of the best, and how likely it was.

    ``propensity`` is with which probability a decision of this kind is looked at, above 0.
    """

    chosen: float
    best: float
    propensity: float = 1.0


_NOTHING: Final = Accuracy(0, *([math.nan] * 8))


def score(pairs: Sequence[Pair]) -> Accuracy:
    """Judge predictions.

    Checked by: tests/unit/cost/test_residual.py.
    """
    if not pairs:
        return _NOTHING
    held = sum(pair.actual <= pair.p90 for pair in pairs)
    low, high = wilson(held, len(pairs))
    return Accuracy(
        seen=len(pairs),
        mdape=_median(abs(pair.actual - pair.p50) / pair.actual for pair in pairs),
        wape=sum(abs(pair.actual - pair.p50) for pair in pairs) / sum(p.actual for p in pairs),
        bias=math.exp(_median(math.log(pair.actual / pair.p50) for pair in pairs)) - 1.0,
        coverage=held / len(pairs),
        coverage_low=low,
        coverage_high=high,
        sharpness=_median(pair.p90 / pair.actual for pair in pairs),
        pinball=sum(_pinball(pair) for pair in pairs) / len(pairs),
    )


def skill(pinball: float, plain: float) -> float:
    """Return how much less loss a predictor has than a plain one; below 0 it has more.

    Checked by: tests/unit/cost/test_residual.py.
    """
    return 1.0 - pinball / plain if plain > 0.0 else 0.0


def regret(choices: Iterable[Choice]) -> float:
    """Return the mean of what better choices would have saved, each weighted by its propensity.

    Checked by: tests/unit/cost/test_residual.py.
    """
    lost = total = 0.0
    for choice in choices:
        weight = 1.0 / choice.propensity
        lost += weight * (choice.chosen - choice.best)
        total += weight
    return lost / total if total > 0.0 else math.nan


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, by Wilson; ``count`` at least 1.

    Checked by: tests/unit/cost/test_residual.py.
    """
    share, square = hits / count, Z95 * Z95
    centre = share + square / (2 * count)
    spread = Z95 * math.sqrt((share * (1.0 - share) + square / (4 * count)) / count)
    scale = 1.0 + square / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _pinball(pair: Pair) -> float:
    over = pair.actual - pair.p90
    return TARGET * over if over > 0.0 else (TARGET - 1.0) * over


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-1 - middle]) / 2.0
