"""Brim: whether what requests use still finds room in this node's ledger, or is full of it.

Records are never dropped to make room. Before there is none, the node begins nothing new that
would have to be recorded; what is left is for the requests that are under way.
"""

from typing import Final

from littoral.domain.errors import LittoralError, StorageFull
from littoral.domain.outbox import LaneLevel, is_full
from littoral.domain.ports import Clock
from littoral.domain.session import Recording
from littoral.domain.units import Seconds
from littoral.node.signal import Signal

HOLD: Final = Seconds(5.0)
"""For how long a refusal of the disk counts when nothing is tried again meanwhile."""


class Brim:
    """What the books of all gateways of a node met, and what the gateways are told of it.

    Args:
        changed: Rung when gateways are to be told something else.
        clock: Tells how long ago the disk refused.

    Attributes:
        frame: What to tell them.
        unmetered: Whether requests without a budget go on, unrecorded where there is no room.
        waiting: Records that control lacks.
        skipped: Requests that were served and not recorded, ever.
    """

    unmetered = False
    waiting = 0
    skipped = 0

    def __init__(self, changed: Signal, clock: Clock) -> None:
        self.frame = Recording()
        self._changed = changed
        self._clock = clock
        self._near = self._refusing = False
        self._until = 0.0

    def refused(self, error: LittoralError) -> bool:
        """Records could not be written; whether they could before."""
        news, self._refusing = not self._refusing, True
        if isinstance(error, StorageFull):
            self._until = self._clock.now() + HOLD
            self._show()
        return news

    def accepted(self) -> bool:
        """Records were written; whether they were refused before."""
        news, self._refusing = self._refusing, False
        if news:
            self._until = 0.0
            self._show()
        return news

    def see(self, ledger: LaneLevel) -> None:
        """Judge how full the ledger's lane is."""
        self._near = is_full(ledger, was=self._near)
        self._show()

    def _show(self) -> None:
        full = self._near or self._clock.now() < self._until
        if (full, self.unmetered) != (self.frame.full, self.frame.unmetered):
            self.frame = Recording(full=full, unmetered=self.unmetered)
            self._changed.notify()
