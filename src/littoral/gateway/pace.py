"""Pace: how fast the client of a session is heard, so that no session takes a core for itself."""

from typing import Final

from littoral.domain.units import Seconds

BYTES_A_SECOND: Final = 2 * 1024 * 1024
"""Of messages: sound at more than thirty times the speed at which it is spoken."""
LEAST: Final = 512
"""A message counts as at least so many bytes."""
AHEAD: Final = Seconds(2.0)
"""How far a client may be ahead before it is heard no further."""


class Pace:
    """What one client has said, as the time that it may take."""

    def __init__(self) -> None:
        self._until = 0.0

    def hear(self, size: int, now: float) -> None:
        """Count a message.

        Args:
            size: Its bytes.
            now: Monotonic seconds.
        """
        self._until = max(self._until, now) + max(size, LEAST) / BYTES_A_SECOND

    def wait_s(self, now: float) -> float:
        """How long to hear nothing more: until half of that is over; 0 for not at all, seconds."""
        ahead_s = self._until - now
        return ahead_s - AHEAD / 2 if ahead_s > AHEAD else 0.0
