"""Cutting: a growing text, given out as far as it is sure, up to the first stop."""

from collections.abc import Sequence
from typing import final

BROKEN = "\ufffd"
"""What stands for a letter whose bytes have not all come."""


@final
class Cutter:
    """Gives out a text that grows.

    Args:
        stops: Texts before which it ends; they are not given out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._given = 0
        self.stopped = False

    def feed(self, text: str, *, last: bool = False) -> str:
        """Take all of the text so far; returns what is new and sure.

        Held back are letters that are not whole, and what may yet become a stop, until ``last``.
        """
        if self.stopped:
            return ""
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            end = min(found)
        else:
            end = len(text) if last else len(text.rstrip(BROKEN)) - self._doubt(text)
        new = text[self._given : max(end, self._given)]
        self._given += len(new)
        return new

    def _doubt(self, text: str) -> int:
        """How many letters at the end may begin a stop."""
        most = max((len(stop) - 1 for stop in self._stops), default=0)
        for count in range(min(most, len(text)), 0, -1):
            if any(stop.startswith(text[-count:]) for stop in self._stops):
                return count
        return 0
