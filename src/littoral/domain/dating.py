"""Dating: which usage records were dated by a wrong clock, and by how much that was wrong.

A node's wall time is its monotonic time and an offset. As long as control has not told the time,
the offset may be wrong, and may change; each stretch of one offset is remembered. When control
tells the time in the same boot of the machine, the difference of offsets is what the dates of that
stretch are wrong by. Rows stay as they were written and chained: the correction goes beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from littoral.domain.floor import APART_US, us
from littoral.domain.outbox import Batch, Redated, Row
from littoral.domain.units import SECOND_US, Micros, Seconds

MOST = 256
"""Stretches that are remembered; of older ones the dates stay as they are."""
LAG_US = SECOND_US
"""After so long all gateways have heard of the right time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Time in which a node believed in one offset from monotonic to wall time.

    ``machine`` is the boot of the machine, for which monotonic time holds. ``since_us`` to before
    ``until_us`` are the dates that it gave, None while it lasts. ``behind`` is whether these were
    counted up from the floor, so that they are certainly not right. ``shift_us`` is what has to be
    added to them, None as long as that is not known; ``last`` the last number of the ledger then.
    """

    machine: str
    since_us: Micros
    offset_us: int
    until_us: Micros | None = None
    behind: bool = False
    shift_us: int | None = None
    last: int = 0

    def covers(self, row: Row) -> bool:
        """Whether this gave a row its date.

        Where the clock was ahead, the same dates come again when they are right: those rows have
        higher numbers. Where it was behind, rows may still come of what began before.
        """
        if row.usage is None or row.usage.at_us < self.since_us:
            return False
        if self.shift_us is not None and self.shift_us < 0 and row.seq > self.last:
            return False
        return self.until_us is None or row.usage.at_us < self.until_us


def noted(
    stretches: Sequence[Stretch], found: Stretch, now: Seconds, *, starts: bool
) -> Sequence[Stretch]:
    """The stretches after a look at the clock: as they were, or one more.

    Args:
        stretches: Those until now.
        found: What is believed from now on.
        now: What the monotonic clock says.
        starts: Whether the node has just started: nothing was dated while it was not there.
    """
    if not stretches:
        return (found,)
    *before, last = stretches
    same = last.shift_us is None and (last.machine, last.behind) == (found.machine, found.behind)
    if same and abs(last.offset_us - found.offset_us) <= APART_US:
        return stretches
    if last.until_us is None:
        ended = last.offset_us + us(now) if last.machine == found.machine else found.since_us
        if starts:
            ended = min(ended, found.since_us)
        last = replace(last, until_us=Micros(max(last.since_us, ended)))
    return (*before, last, found)[-MOST:]


def settled(
    stretches: Sequence[Stretch], machine: str, *, wall_us: Micros, now: Seconds, last: int
) -> Sequence[Stretch]:
    """The stretches when the time is known: by how much those of this boot were wrong.

    Args:
        stretches: Those until now.
        machine: Which boot of the machine this is.
        wall_us: What time it is, by control.
        now: What the monotonic clock says.
        last: The ledger's last number.
    """
    offset_us = wall_us - us(now)

    def told(each: Stretch) -> Stretch:
        if each.machine != machine or each.shift_us is not None:
            return each
        wrong = offset_us - each.offset_us
        until = each.until_us or Micros(each.offset_us + us(now) + LAG_US)
        shift = wrong if abs(wrong) > APART_US else 0
        return replace(each, until_us=until, shift_us=shift, last=last)

    return tuple(told(each) for each in stretches)


def redated(batch: Batch, stretches: Sequence[Stretch]) -> Batch:
    """The batch with what its dates are wrong by, beside its rows."""

    def wrong(row: Row) -> int | None:
        found = next((each for each in stretches if each.covers(row)), None)
        if found is None:
            return 0
        return found.shift_us if found.shift_us is not None or found.behind else 0

    runs = [(by_us, list(rows)) for by_us, rows in groupby(batch.rows, wrong) if by_us != 0]
    if not runs:
        return batch
    told = [Redated(first=rows[0].seq, last=rows[-1].seq, by_us=by_us) for by_us, rows in runs]
    return replace(batch, redated=tuple(told))
