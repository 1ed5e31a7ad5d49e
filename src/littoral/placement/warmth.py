"""Warmth: a bonus for the candidate that computed the beginning of a request before."""

from collections.abc import Sequence
from typing import Final

from littoral.placement.decide import Row, Verdict

WARM: Final = 0.9
"""What a warm candidate's time counts for: so little less that load still wins."""


def warmed(rows: Sequence[Row], at: int) -> list[Row]:
    """Return the rows as ``rank`` shall see them when the one at ``at`` is warm."""
    row = rows[at]
    faster = row._replace(t0=row.t0 * WARM, t_in=row.t_in * WARM, t_step=row.t_step * WARM)
    return [*rows[:at], faster, *rows[at + 1 :]]


def restored(verdict: Verdict, at: int) -> Verdict:
    """Take the bonus out of the prediction, so that what is learned stays true.

    Args:
        verdict: Of ``rank`` on ``warmed`` rows.
        at: The warm one.
    """
    if verdict.position != at:
        return verdict
    return verdict._replace(
        why="warm" if verdict.why == "fastest" else verdict.why,
        first_p50=verdict.first_p50 / WARM,
        total_p50=verdict.total_p50 / WARM,
        total_p90=verdict.total_p90 / WARM,
    )
