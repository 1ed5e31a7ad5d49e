"""Hedge: a second try for the few requests whose first is unusually slow to answer."""

from typing import Final

from littoral.gateway.retry import Budget

SHARE: Final = 0.05
"""Most extra requests, as a share of all that may be hedged."""
MOST: Final = 5.0
SEEN: Final = 256
LEAST: Final = 32
"""Latest answers that are remembered, and how many there must be before any is called slow."""
_EVERY: Final = 16
QUANTILE: Final = 0.95


class Hedge:
    """When to send a second try, and whether there is budget for it; one a model and kind.

    Streams are one kind, their first byte counts; whole answers are another.
    """

    __slots__ = ("_at", "_seen", "budget", "delay_s")

    def __init__(self) -> None:
        self.budget = Budget(SHARE, MOST, first=0.0)
        self.delay_s = 0.0
        """How long a first try may take; 0 as long as too little is known."""
        self._seen: list[float] = []
        self._at = 0

    def saw(self, first_s: float) -> None:
        """Learn how long an answer took to begin, hedged or not."""
        if len(self._seen) < SEEN:
            self._seen.append(first_s)
        else:
            self._seen[self._at % SEEN] = first_s
        self._at += 1
        if self._at >= LEAST and self._at % _EVERY == 0:
            self.delay_s = sorted(self._seen)[int(QUANTILE * len(self._seen))]

    def plan(self) -> float:
        """Count a request that may be hedged; seconds until its second try is due, 0 for never."""
        self.budget.earn()
        return self.delay_s
