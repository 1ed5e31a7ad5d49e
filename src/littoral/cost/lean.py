"""Lean: by how much the first token deviates from what all of a request does."""

import math
from typing import Final, NamedTuple

MOST: Final = 1.0
"""No median is moved by more than this, log seconds, in either direction."""
LEAST_WRITING: Final = 0.25
"""What is left of the writing, however much of the whole the reading is found to take."""
REMEMBERED: Final = 0.02
"""Weight of the last request in the mean share of reading."""
SETTLED: Final = 1000
"""Outcomes from which on paces do not change any more."""


class Lean(NamedTuple):
    """Quantiles of the first token's log deviation, by that of the whole; and its mean share.

    ``middle`` and ``high`` are the median and the 90 % quantile. ``share`` is how much of a
    request's predicted seconds the reading is.
    """

    middle: float = 0.0
    high: float = 0.3
    share: float = 0.5

    @property
    def width(self) -> float:
        """Log half-width from p50 to p90 of the seconds to the first token."""
        return max(0.02, self.high - self.middle)


LEVEL: Final = Lean()


def leaned(lean: Lean, count: int, *, first: float, share: float) -> Lean:
    """Return the lean after a first token was seen.

    Args:
        lean: As it was.
        count: Outcomes before this one.
        first: Log deviation of the first token's seconds, by that of the whole.
        share: Part of the predicted seconds that the first token took.

    Source: quantiles by stochastic steps.
    Checked by: tests/unit/cost/test_lean.py.
    """
    pace = 0.02 + (0.08 * math.exp(-count / 50) if count < SETTLED else 0.0)
    middle = lean.middle + (0.5 * pace if first > lean.middle else -0.5 * pace)
    high = lean.high + (0.9 * pace if first > lean.high else -0.1 * pace)
    mean = lean.share + REMEMBERED * (share - lean.share)
    return Lean(max(-MOST, min(MOST, middle)), max(-MOST, min(2.0 * MOST, high)), mean)


def factors(lean: Lean) -> tuple[float, float]:
    """Return what reading and writing are to be multiplied by, so that both medians are right.

    What the reading takes more, the writing takes less: the whole is as it was.

    Checked by: tests/unit/cost/test_lean.py.
    """
    read = math.exp(lean.middle)
    write = (1.0 - lean.share * read) / max(1e-3, 1.0 - lean.share)
    return read, max(LEAST_WRITING, write)
