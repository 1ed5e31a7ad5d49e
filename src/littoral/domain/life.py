"""Life: how long a snapshot holds without control, and when that is said."""

from typing import Final, Literal, TypeAlias

from littoral.domain.units import DAY_US, HOUR_US, Micros

USUAL_US: Final = 3 * DAY_US
"""How long a snapshot holds where its site says nothing else."""
EXTEND_US: Final = HOUR_US
"""How old a snapshot may be before a new version extends its life."""

Stage: TypeAlias = Literal["fresh", "half", "late", "ended"]
"""How much of its life is over: less than half, half, nine tenths, all."""


def stage_of(now_us: Micros, *, issued_us: Micros, not_after_us: Micros | None) -> Stage:
    """How far a snapshot's life has gone.

    Checked by: tests/unit/domain/test_life.py.
    """
    if not_after_us is None:
        return "fresh"
    if now_us >= not_after_us:
        return "ended"
    gone, whole = now_us - issued_us, not_after_us - issued_us
    if gone * 10 >= whole * 9:
        return "late"
    return "half" if gone * 2 >= whole else "fresh"
