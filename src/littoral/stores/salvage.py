"""What can be read of a damaged outbox, and how the new file takes its place.

The new file is written whole beside the damaged one before that is renamed; ``finish`` completes or
undoes whatever a crash left half done, so that no readable row is lost on the way.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import apsw

from littoral.domain.errors import Damaged
from littoral.domain.outbox import LANES
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord
from littoral.stores import body, spending
from littoral.stores.body import Prepared, prepared, row_of
from littoral.stores.durable import sync_folder
from littoral.stores.outbox_lane import COLUMNS, Lanes
from littoral.stores.sqlite import Row, run, transact

RANGE = f"select {COLUMNS} from outbox where key between ? and ? order by key"  # noqa: S608  ours
OLD_RANGE = "select seq, body from outbox where seq between ? and ? order by seq"
HIGHEST = 1 << 59
MISSES = 100_000
"""Unreadable ranges tried before the rest is given up: a second or two."""


@dataclass(slots=True)
class Found:
    """What could be read: rows in order, how many are known to be lost, and the spendings."""

    rows: list[Prepared] = field(default_factory=list[Prepared])
    lost: int = 0
    spent: list[Row] = field(default_factory=list[Row])


def fresh(path: str) -> str:
    """Where the file that replaces ``path`` is built."""
    return f"{path}.new"


def rescue(path: str) -> Found:
    """Read a damaged outbox by ranges of keys, halving around what cannot be read."""
    raw: list[Row] = []
    found = Found()
    with contextlib.suppress(apsw.Error):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            try:
                _read_ranges(connection, RANGE, raw)
            except apsw.SQLError:  # written before there were lanes
                _read_ranges(connection, OLD_RANGE, raw)
            found.spent = run(connection, spending.ALL)
        finally:
            connection.close()
    found.rows = [row for row in map(_readable, raw) if row is not None]
    found.lost = _span(raw) - len(found.rows)
    return found


def _readable(row: Row) -> Prepared | None:
    """The row as it may be written anew; None where it cannot be read."""
    try:
        if len(row) == len(("seq", "body")):
            return prepared(body.unpack(row[1], UsageRecord))
        key, kind, at_us, blob, _, once = row
        number, kind = cast("int", key) >> 56, cast("int", kind)
        usage = row_of(1, kind, cast("bytes", blob), mac=b"").usage
        words = None if once is None else str(once)
        return Prepared(
            LANES[number], kind, Micros(cast("int", at_us)), cast("bytes", blob), words, usage
        )
    except (Damaged, ValueError, IndexError, TypeError):
        return None


def _span(rows: list[Row]) -> int:
    """How many rows there were between the first and the last of each lane."""
    keys = [row[0] for row in rows if isinstance(row[0], int)]
    lanes: dict[int, list[int]] = {}
    for key in keys:
        lanes.setdefault(key >> 56, []).append(key)
    return sum(max(each) - min(each) + 1 for each in lanes.values())


def _read_ranges(connection: apsw.Connection, query: str, rows: list[Row]) -> None:
    """Add every readable row to ``rows``; what is no database of ours ends it at once."""
    pending, misses = [(0, HIGHEST)], 0
    while pending and misses < MISSES:
        low, high = pending.pop()
        try:
            rows += run(connection, query, (low, high))
        except (apsw.CorruptError, apsw.IOError):
            misses += 1
            if low < high:
                middle = (low + high) // 2
                pending += [(middle + 1, high), (low, middle)]


def fill(connection: apsw.Connection, lanes: Lanes, found: Found) -> None:
    """Write what was found into a new file, inside a transaction."""
    new = lanes.write(found.rows, singly=True)
    if found.spent:
        spending.restore(connection, found.spent)
    else:
        spending.add(connection, [row.usage for row in new if row.usage is not None])


def carry(connection: apsw.Connection, lanes: Lanes) -> None:
    """Move the rows of a file from before there were lanes into the ledger, once."""
    if not run(connection, "select 1 from sqlite_schema where name = 'carried'"):
        return

    def work() -> None:
        state = lanes["ledger"]
        state.stored = state.base = state.last = _stored(connection)
        lanes.save(state)
        for row in _carried(connection):
            lanes.write([row], singly=True)
        run(connection, "drop table carried")
        run(connection, "delete from meta where name = 'stored'")

    transact(connection, work)


def _stored(connection: apsw.Connection) -> int:
    found = run(connection, "select value from meta where name = 'stored'")
    return cast("int", found[0][0]) if found else 0


def _carried(connection: apsw.Connection) -> Iterator[Prepared]:
    """The old rows; one that cannot be read is carried as damaged, so that numbers stay."""
    for seq, blob in run(connection, "select seq, body from carried order by seq"):
        try:
            yield prepared(body.unpack(blob, UsageRecord))
        except Damaged:
            length = len(blob) if isinstance(blob, bytes) else 0
            yield Prepared(
                "ledger", body.DAMAGED, Micros(0), body.damaged(length), f"carried/{seq}"
            )


def swap(path: str, aside: str) -> None:
    """Set the damaged file aside and put the new one in its place."""
    Path(path).rename(aside)
    sync_folder(str(Path(path).parent))
    finish(path, aside)


def finish(path: str, aside: str) -> None:
    """Complete a replacement whose damaged file is already aside; drop one that never began."""
    new = Path(fresh(path))
    if not new.exists():
        return
    if Path(path).exists():
        new.unlink()
        Path(f"{new}-wal").unlink(missing_ok=True)
        return
    # A log that outlived its database would be replayed into the new one.
    log = Path(f"{path}-wal")
    if log.exists():
        log.rename(f"{aside}-wal")
    new.rename(path)
    sync_folder(str(new.parent))
