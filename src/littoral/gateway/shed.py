"""Shed: when to send requests away, so that those that stay are served in time."""

from typing import Final

WINDOW_S: Final = 0.1
"""How long the wait must be over its target before it counts as overload, seconds."""
REST_S: Final = 1.0
"""A strain on our own loop counts once it has lasted this long."""
STRAINS: Final = (0.020, 0.100, 0.250)
"""Lag of the loop, seconds, from which on batch, default, and every request is refused."""


class Sojourn:
    """Whether a queue stands, or merely holds what comes in bursts: the idea of CoDel.

    A burst raises the wait for a moment; a standing queue keeps it up. ``overloaded`` once the one
    who waits longest has been over the target at every look for ``WINDOW_S``.

    Args:
        target_s: The wait that is tolerated, seconds: half the objective for the first token.
    """

    __slots__ = ("_since", "overloaded", "target_s")

    def __init__(self, target_s: float) -> None:
        self.target_s = target_s
        self._since = -1.0
        self.overloaded = False

    def saw(self, oldest_s: float, now: float) -> None:
        """Learn how long the one who waits longest has waited; 0 where nobody does."""
        if oldest_s <= self.target_s:
            self._since = -1.0
            self.overloaded = False
        elif self._since < 0.0:
            self._since = now
        elif now - self._since >= WINDOW_S:
            self.overloaded = True


def is_hopeless(*, waited_s: float, target_s: float, left_s: float, busy_s: float) -> bool:
    """Whether serving a request under overload would be for nothing.

    Args:
        waited_s: How long it waits.
        target_s: The wait that is tolerated.
        left_s: How long until its deadline.
        busy_s: How long serving it takes.
    """
    return busy_s > left_s or waited_s > 2 * target_s


class Strain:
    """How far our own loop is behind: 0 at ease; 1 to 3 as ``STRAINS`` are exceeded for a second.

    A level is left when the lag has stayed below it for as long.
    """

    __slots__ = ("_since", "_toward", "level")

    def __init__(self) -> None:
        self.level = 0
        self._toward = 0
        self._since = 0.0

    def saw(self, lag_s: float, now: float) -> None:
        """Learn how late the loop's tick came."""
        level = sum(lag_s > limit for limit in STRAINS)
        if level == self.level:
            self._toward = level
            return
        if (level > self.level) != (self._toward > self.level) or self._toward == self.level:
            self._since = now
            self._toward = level
        else:
            near = min if level > self.level else max
            self._toward = near(level, self._toward)
        if now - self._since >= REST_S:
            self.level = self._toward

    def refuses(self, level: int) -> bool:
        """Whether requests of a priority level (0 is the highest) are to be refused."""
        return self.level > 0 and level >= 3 - self.level
