"""Retry: a budget, so that failures of engines are not answered with more load."""

from typing import Final

SHARE: Final = 0.1
"""Extra requests that each request earns."""
MOST: Final = 10.0


class Budget:
    """Extra requests of one kind for one model: a share of its requests, some at once.

    Args:
        share: What each request earns.
        most: How many may be saved up.
        first: How many there are before the first request.
    """

    __slots__ = ("_most", "_share", "left")

    def __init__(self, share: float = SHARE, most: float = MOST, *, first: float = 1.0) -> None:
        self._share = share
        self._most = most
        self.left = first

    def earn(self) -> None:
        """A request came."""
        if self.left < self._most:
            self.left += self._share

    def spend(self) -> bool:
        """Take one, if one is left."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
