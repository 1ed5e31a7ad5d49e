"""Phase: a machine that is quicker or slower than of late, told by the trend of its residuals."""

import math
from typing import Final, NamedTuple, TypeAlias

TARGET: Final = 0.9
TREND: Final = 0.25
"""Weight of the last residual in the trend that tells the phases apart."""
CLIP: Final = 1.5
QUICK: Final = -0.15
SLOW: Final = 0.25
"""Trends below and above which a machine is in a quick or a slow phase, log seconds."""
SETTLED: Final = 2000
"""Outcomes from which on paces do not change any more."""
ENOUGH: Final = 30
"""Outcomes of a phase before it has quantiles of its own."""


class Phase(NamedTuple):
    """Centre of the log residuals and conformal multiplier of one phase, and how often seen."""

    q50: float = 0.0
    scale: float = 1.0
    seen: int = 0


Phases: TypeAlias = tuple[Phase, Phase, Phase]
UNSEEN: Final[Phases] = (Phase(), Phase(), Phase())


def phase_of(trend: float) -> int:
    """Return which phase a trend means: 0 quick, 1 usual, 2 slow.

    Checked by: tests/unit/cost/test_phase.py.
    """
    return (trend >= QUICK) + (trend > SLOW)


def trend_after(trend: float, error: float) -> float:
    """Return the trend after one more residual.

    Checked by: tests/unit/cost/test_phase.py.
    """
    clipped = -CLIP if error < -CLIP else min(error, CLIP)
    return trend + TREND * (clipped - trend)


def centred(phase: Phase, error: float) -> Phase:
    """Move a phase's centre towards a residual that came in it.

    Checked by: tests/unit/cost/test_phase.py.
    """
    pace = 0.02 + (0.08 * math.exp(-phase.seen / 50) if phase.seen < SETTLED else 0.0)
    q50 = phase.q50 + (0.5 * pace if error > phase.q50 else -0.5 * pace)
    return Phase(q50, phase.scale, phase.seen + 1)


def rescaled(scale: float, count: int, *, held: bool) -> float:
    """Return a conformal multiplier after a bound that held, or did not.

    Checked by: tests/unit/cost/test_phase.py.
    """
    young = 0.03 * math.exp(-count / 200) if count < SETTLED else 0.0
    moved = scale + (0.05 + young) * (TARGET - held)
    return 0.1 if moved < 0.1 else min(moved, 10.0)


def put(phases: Phases, at: int, phase: Phase) -> Phases:
    """Return the phases with one of them replaced.

    Checked by: tests/unit/cost/test_phase.py.
    """
    quick, usual, slow = phases
    if at == 1:
        return quick, phase, slow
    return (phase, usual, slow) if at == 0 else (quick, usual, phase)
