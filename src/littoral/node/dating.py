"""The node's memory of what it believed of the time, so that usage can be dated anew."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from littoral.domain.dating import Stretch, noted, redated, settled
from littoral.domain.errors import StorageFull
from littoral.domain.floor import us
from littoral.domain.outbox import Batch
from littoral.domain.ports import Disk
from littoral.node.clock import FloorClock

PATH = "dating.json"


class Dating:
    """Remembers, over restarts, which dates were given by which offset.

    Args:
        clock: The node's.
        disk: Where that is kept.
        machine: Which boot of the machine this is: monotonic time holds for one.
    """

    def __init__(self, clock: FloorClock, disk: Disk, machine: str) -> None:
        self._clock = clock
        self._disk = disk
        self._machine = machine
        self._met = False
        self._starts = True
        self._stretches = self._kept()
        self._written = self._stretches

    def look(self) -> None:
        """Take note of what is believed, until control has told the time."""
        if not self._met:
            wall, now = self._clock.wall(), self._clock.now()
            behind = self._clock.doubt == "behind"
            found = Stretch(
                machine=self._machine, since_us=wall, offset_us=wall - us(now), behind=behind
            )
            self._stretches = noted(self._stretches, found, now, starts=self._starts)
            self._starts = False
        self._keep()

    def met(self, last: int) -> int:
        """The clock is right now; returns what it was wrong by until now, in microseconds.

        Args:
            last: The ledger's last number.
        """
        if self._met:
            return 0
        self._met = True
        wall, now = self._clock.wall(), self._clock.now()
        self._stretches = settled(self._stretches, self._machine, wall_us=wall, now=now, last=last)
        self._keep()
        return self._stretches[-1].shift_us or 0

    def redated(self, batch: Batch) -> Batch:
        """The batch with what its dates are wrong by, beside its rows."""
        return redated(batch, self._stretches)

    def _keep(self) -> None:
        if self._written is not self._stretches:
            with suppress(StorageFull):  # the next look tries again
                self._disk.write(PATH, msgspec.json.encode(self._stretches))
                self._written = self._stretches

    def _kept(self) -> Sequence[Stretch]:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(self._disk.read(PATH) or b"[]", type=tuple[Stretch, ...])
        return ()
