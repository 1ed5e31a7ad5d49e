"""Length: how long the answers of one kind of request are, though many are cut short."""

import math
from dataclasses import dataclass
from typing import Final

STEP: Final = 0.02
QUICK: Final = 0.1
"""Steps in log tokens, late and at first."""
YOUNG: Final = 50
HIGH: Final = 0.9
LEAK: Final = 0.1
LEANING: Final = 0.125
"""Pace of the lean, by that of the quantiles: it follows what they and the speed leave over."""
LEAN_MOST: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Quantiles of the answer's length in tokens, as logs, and how many answers taught them.

    ``lean`` is what the length to expect is beyond the median, so that half of all requests take
    longer than was promised: what is uncertain in length and speed takes longer than its middle
    more often than not.
    """

    p50: float = math.log(128.0)
    p90: float = math.log(256.0)
    count: int = 0
    lean: float = 0.0

    @property
    def expected(self) -> float:
        """Tokens to promise seconds by."""
        return math.exp(self.p50 + self.lean)

    @property
    def median(self) -> float:
        """Tokens that half of all answers do not exceed."""
        return math.exp(self.p50)

    @property
    def width(self) -> float:
        """Log half-width from p50 to p90."""
        return max(0.0, self.p90 - self.p50)


def kind_of(*, tag: str, key: str, model: str) -> str:
    """Return under what the lengths of a request's answers are learned.

    Requests with a tag share what is known of it; those without one have only their key in common.
    Both are of one model: others write longer or shorter.

    Args:
        tag: Of the request; empty where it has none.
        key: The id of its key, which no tag can be mistaken for.
        model: As clients call it.

    Checked by: tests/unit/cost/test_length.py.
    """
    return f"#{tag}\n{model}" if tag else f"{key}\n{model}"


def seen(length: Length, tokens: int, *, cap: int | None = None, cancelled: bool = False) -> Length:
    """Learn from one answer.

    A cap at or below a quantile says next to nothing about it: an answer that was cut there may be
    any longer, and those that ended before are the short ones, so they count a tenth, which brings
    down a quantile that lies above every cap. Above the quantile, an answer cut at the cap counts
    as longer. An answer that its caller cancelled counts only where it was longer already.

    Args:
        length: What is known so far.
        tokens: Written, at least 0.
        cap: The most that was allowed.
        cancelled: Whether the caller left before the end.

    Source: quantiles by stochastic steps, censored.
    Checked by: tests/unit/cost/test_length.py.
    """
    pace = QUICK if length.count < YOUNG else STEP
    at = math.log(max(1, tokens))
    limit = math.inf if cap is None else math.log(max(1, cap))
    p50 = _moved(length.p50, at, limit=limit, cancelled=cancelled, by=(0.5, pace))
    p90 = _moved(length.p90, at, limit=limit, cancelled=cancelled, by=(HIGH, pace))
    return Length(p50=p50, p90=max(p50, p90), count=length.count + 1, lean=length.lean)


def leaned(length: Length, *, late: bool, cap: int | None = None) -> Length:
    """Learn from whether an answer took longer than the median that was promised for it.

    A promise that the cap bounded, and not the length to expect, teaches nothing.

    Args:
        length: What is known so far.
        late: Whether it took longer.
        cap: The most tokens that were allowed.

    Source: an integral controller, as that of the bound's scale.
    Checked by: tests/unit/cost/test_length.py.
    """
    if cap is not None and cap <= length.expected:
        return length
    pace = QUICK if length.count < YOUNG else STEP
    lean = length.lean + (LEANING * pace if late else -LEANING * pace)
    return Length(
        p50=length.p50,
        p90=length.p90,
        count=length.count,
        lean=max(-LEAN_MOST, min(LEAN_MOST, lean)),
    )


def _moved(
    value: float, at: float, *, limit: float, cancelled: bool, by: tuple[float, float]
) -> float:
    quantile, pace = by
    above = at > value
    if (limit <= value and at >= limit) or (cancelled and not above):
        return value
    if limit <= value:
        pace *= LEAK
    return max(0.0, value + pace * (quantile if above else quantile - 1.0))
