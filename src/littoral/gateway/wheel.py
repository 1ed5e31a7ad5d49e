"""Wheel: one timer for every connection. Ten spokes, one looked at each tenth of a second."""

from typing import Protocol

SPOKES = 10


class Timed(Protocol):
    """Something that must act when its time has come."""

    due: float

    def expire(self, now: float) -> None:
        """Act: ``due`` has passed. Called again a second later unless ``due`` was moved."""
        ...


class Wheel:
    """Connections spread over spokes; each is looked at once a second, so lateness is <= 1 s.

    Moving a deadline is one attribute: nothing is queued, moved or cancelled per request.
    """

    def __init__(self) -> None:
        self._spokes: list[set[Timed]] = [set() for _ in range(SPOKES)]
        self._at = 0
        self._next = 0

    def __len__(self) -> int:
        return sum(map(len, self._spokes))

    def add(self, item: Timed) -> int:
        """Watch an item; returns its spoke, for ``discard``."""
        self._next = (self._next + 1) % SPOKES
        self._spokes[self._next].add(item)
        return self._next

    def discard(self, item: Timed, spoke: int) -> None:
        """Watch it no longer; safe to call twice."""
        self._spokes[spoke].discard(item)

    def turn(self, now: float) -> None:
        """Look at the next spoke; call ten times a second."""
        self._at = (self._at + 1) % SPOKES
        for item in [item for item in self._spokes[self._at] if item.due <= now]:
            item.expire(now)
