"""Filling: how full the ledger of this node is, looked at and told as it turns."""

from typing import Final

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.ports import Outbox
from littoral.domain.units import Seconds
from littoral.node.board import Board

LOOK: Final = Seconds(5.0)
"""How often the ledger's level is looked at."""
_FULL: Final = (
    "usage records that control has not taken, or the disk, leave no room for more: requests that "
    "must be counted are refused until there is room"
)


async def watch(board: Board, outbox: Outbox, *, pace: float = 1.0) -> None:
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
