"""Gate: how many handshakes a listener takes on, and how many a second it manages."""

from typing import Final

from littoral.domain.units import Seconds

QUEUE_S: Final = 3.0
"""Handshakes that would wait longer than this are not begun: their nodes would give up."""
FIRST: Final = 100.0
"""Handshakes a second until more is known."""
LEAST, MOST = 20.0, 5000.0
BUSY: Final = 16
"""A queue of so many tells how fast it moves; a shorter one tells how fast nodes come."""


class Gate:
    """Counts handshakes under way, and measures how many a second end."""

    def __init__(self) -> None:
        self._waiting = 0
        self._last: Seconds | None = None
        self._each_s = 1.0 / FIRST
        self.shed = 0

    @property
    def rate(self) -> float:
        """Handshakes a second, as measured while there was a queue."""
        return min(max(1.0 / self._each_s, LEAST), MOST)

    def enter(self) -> bool:
        """Begin a handshake; False where the queue is full, and the connection is to be dropped."""
        if self._waiting >= QUEUE_S * self.rate:
            self.shed += 1
            return False
        self._waiting += 1
        return True

    def leave(self, now: Seconds) -> None:
        """A handshake has ended, well or not."""
        last, self._last = self._last, now
        self._waiting -= 1
        if self._waiting < BUSY:
            self._last = None
        elif last is not None:
            self._each_s += (max(now - last, 1.0 / MOST) - self._each_s) / 32
