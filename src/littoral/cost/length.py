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


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Quantiles of the answer's length in tokens, as logs, and how many answers taught them."""

    p50: float = math.log(128.0)
    p90: float = math.log(256.0)
    count: int = 0

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
    return Length(p50=p50, p90=max(p50, p90), count=length.count + 1)


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
