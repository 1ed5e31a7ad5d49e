"""Brim: whether what requests use still finds room in this node's ledger, or is full of it.

Records are never dropped to make room. Before there is none, the node begins nothing new that
would have to be recorded; what is left is for the requests that are under way.
"""

from typing import TYPE_CHECKING, Final

import anyio

from littoral.domain.errors import LittoralError, StorageFull
from littoral.domain.outbox import LaneLevel, is_full
from littoral.domain.ports import Clock, Outbox
from littoral.domain.session import Recording
from littoral.domain.units import Seconds
from littoral.node.signal import Signal

if TYPE_CHECKING:
    from littoral.node.board import Board

LOOK: Final = Seconds(5.0)
"""How often the ledger's level is looked at."""
HOLD: Final = Seconds(5.0)
"""For how long a refusal of the disk counts when nothing is tried again meanwhile."""
_FULL: Final = (
    "usage records that control has not taken, or the disk, leave no room for more: requests that "
    "must be counted are refused until there is room"
)


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


async def watch(board: "Board", outbox: Outbox, *, pace: float = 1.0) -> None:
    """Look at the ledger's level until cancelled, ``pace`` times less often; say when it turns."""
    was, skipped = False, 0
    while True:
        try:
            board.brim.see((await outbox.level()).lanes["ledger"])
        except LittoralError as error:
            board.brim.refused(error)
        full = board.brim.frame.full
        if full != was:
            board.put_trouble("ledger", _FULL if full else "")
            if full:
                board.say("ledger", "ledger_full", _FULL, level="error")
        if board.brim.skipped != skipped and not full:
            told = f"{board.brim.skipped - skipped} requests were served and not recorded"
            board.say("ledger", "ledger_unmetered", told, level="warning")
            skipped = board.brim.skipped
        if was and not full:
            board.say("ledger", "ledger_recovered", "what requests use is recorded again")
        was = full
        await anyio.sleep(LOOK * pace)
