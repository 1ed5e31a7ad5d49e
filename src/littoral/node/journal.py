"""Journal: what happens at a node, written down here first, then sent.

The first event of a code and subject is written at once. What repeats is counted, and told as one
event when its window ends; a window doubles for as long as it goes on.
"""

from dataclasses import dataclass, replace

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Outbox
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.diary import Diary
from littoral.node.flush import Flush

FIRST, LONGEST = Seconds(10.0), Seconds(3600.0)
"""The first and the longest window in which events of one code and subject are told as one."""
TICK = Seconds(1.0)
MOST = 1000
"""Codes and subjects whose windows are open; what comes beyond is told singly."""


@dataclass(slots=True)
class _Window:
    """Since when a code and subject are counted, for how long, and what came in it."""

    began: float
    length: float
    first: Event | None = None
    last: Event | None = None
    count: int = 0


class Journal:
    """Writes the board's events into the outbox.

    Args:
        board: Has the events.
        outbox: Where they are written.
        flush: Is told that there is something to send.
        clock: Times the windows.
        diary: Is shown what was written, for people on this machine.
    """

    def __init__(
        self, board: Board, outbox: Outbox, flush: Flush, *, clock: Clock, diary: Diary
    ) -> None:
        self._board = board
        self._outbox = outbox
        self._flush = flush
        self._clock = clock
        self._diary = diary
        self._windows: dict[tuple[str, str, str], _Window] = {}

    async def run(self) -> None:
        """Write until cancelled; what was told before the end is written, too."""
        try:
            while True:
                await self._write([*self._fresh(), *self._ended()])
                self._diary.keep()
                if not self._board.has_events:
                    await self._board.changed.wait(at_most_s=self._left())
        finally:
            with anyio.move_on_after(TICK, shield=True):
                await self._write([*self._fresh(), *self._ended(everything=True)])
            self._diary.keep(at_once=True)

    def _left(self) -> Seconds | None:
        """How long until a window is over, or the diary is due; None where nothing is to come."""
        ends = [each.began + each.length for each in self._windows.values()]
        due = self._diary.due
        ends += [] if due is None else [due]
        return Seconds(max(0.0, min(ends) - self._clock.now())) if ends else None

    def _fresh(self) -> list[Event]:
        """Of the board's events those that nothing like them came just before."""
        found: list[Event] = []
        now = self._clock.now()
        for event in self._board.take_events():
            key = (event.level, event.subject, event.code)
            window = self._windows.get(key)
            if window is None:
                found.append(event)
                if len(self._windows) < MOST:
                    self._windows[key] = _Window(now, FIRST)
            else:
                window.count += 1
                window.first, window.last = window.first or event, event
        return found

    def _ended(self, *, everything: bool = False) -> list[Event]:
        """What was counted in windows that are over; one in which nothing came is closed."""
        found: list[Event] = []
        now = self._clock.now()
        for key, window in list(self._windows.items()):
            if not everything and now < window.began + window.length:
                continue
            if window.first is None or window.last is None:
                del self._windows[key]
                continue
            found.append(replace(window.last, at_us=window.first.at_us, count=window.count))
            longer = min(window.length * 2, LONGEST)
            self._windows[key] = _Window(now, longer)
        return found

    async def _write(self, events: list[Event]) -> None:
        """Write for as long as it takes: a full disk gets room again."""
        while events:
            try:
                await self._outbox.put(events)
            except LittoralError:
                await anyio.sleep(TICK)
                continue
            self._diary.add(events)
            self._flush.news()
            return
