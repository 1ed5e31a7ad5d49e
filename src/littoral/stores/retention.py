"""Since when control has which usage records: marks of time beside the numbers of a lane."""

from typing import cast

import apsw

from littoral.stores.outbox_lane import LaneState
from littoral.stores.sqlite import run

EVERY_US = 600_000_000
"""Least time between two marks, microseconds."""
NEWEST = "select seq, at_us from mark where lane = ? order by seq desc limit 1"
OLDER = "select coalesce(max(seq), 0) from mark where lane = ? and at_us <= ?"


def note(connection: apsw.Connection, state: LaneState, now_us: int) -> None:
    """Mark that everything up to ``stored`` is stored at this time; inside a transaction.

    Only the ledger's rows stay when they are stored. A clock that was set back makes rows stay
    longer, never shorter.
    """
    newest = run(connection, NEWEST, (state.number,))
    seq, at_us = cast("tuple[int, int]", newest[0]) if newest else (0, 0)
    if state.lane != "ledger" or state.stored <= max(seq, state.base):
        return
    if not newest or abs(now_us - at_us) >= EVERY_US:
        row = (state.number, state.stored, max(now_us, at_us))
        run(connection, "insert or replace into mark values(?, ?, ?)", row)


def older(connection: apsw.Connection, state: LaneState, before_us: int) -> int:
    """The highest number that was stored by then; its marks and those below it are forgotten."""
    found = cast("int", run(connection, OLDER, (state.number, before_us))[0][0])
    if found:
        forget = "delete from mark where lane = ? and seq < ?"
        run(connection, forget, (state.number, found))
    return found
