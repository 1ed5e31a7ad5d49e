"""Diary: the last events of this node in a file, for people on its machine."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from littoral.domain.enrolment import DIARY
from littoral.domain.errors import StorageFull
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Disk
from littoral.domain.units import Seconds

MOST = 200
EVERY = Seconds(5.0)
"""Least time between two writes: they are synced, and flash memory wears."""


class Diary:
    """Keeps the last events of this node and those of its earlier lives.

    Args:
        disk: Where.
        clock: Spaces the writes.
    """

    def __init__(self, disk: Disk, *, clock: Clock) -> None:
        self._disk = disk
        self._clock = clock
        self._events: deque[Event] | None = None
        self._news = False
        self._kept = Seconds(-EVERY)

    def add(self, events: Iterable[Event]) -> None:
        """Events that are in the outbox now."""
        if self._events is None:
            self._events = deque(self._before(), maxlen=MOST)
        self._events.extend(events)
        self._news = True

    @property
    def due(self) -> Seconds | None:
        """When it is to be written next, on the clock; None where there is no news."""
        return Seconds(self._kept + EVERY) if self._news else None

    def keep(self, *, at_once: bool = False) -> None:
        """Write, where there is news and it is time."""
        now = self._clock.now()
        if self._events is None or not self._news or (now < self._kept + EVERY and not at_once):
            return
        with suppress(StorageFull):
            self._disk.write(DIARY, msgspec.json.encode(tuple(self._events)))
            self._news = False
        self._kept = now

    def _before(self) -> tuple[Event, ...]:
        kept = self._disk.read(DIARY)
        with suppress(msgspec.DecodeError):
            return () if kept is None else msgspec.json.decode(kept, type=tuple[Event, ...])
        return ()
