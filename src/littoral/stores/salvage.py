"""What can be read of a damaged outbox, and how the new file takes its place.

The new file is written whole beside the damaged one before that is renamed; ``finish`` completes or
undoes whatever a crash left half done, so that no readable row is lost on the way.
"""

import contextlib
from pathlib import Path

import apsw

from littoral.stores import body, spending
from littoral.stores.durable import sync_folder
from littoral.stores.sqlite import Row, run

RANGE = "select seq, request, attempt, body from outbox where seq between ? and ? order by seq"
HIGHEST = 1 << 56
MISSES = 100_000
"""Unreadable ranges tried before the rest is given up: a second or two."""


def fresh(path: str) -> str:
    """Where the file that replaces ``path`` is built."""
    return f"{path}.new"


def rescue(path: str) -> tuple[list[Row], int, list[Row]]:
    """Read a damaged outbox by ranges of numbers, halving around what cannot be read.

    Returns:
        (request, attempt, body) of each readable row in order, how many are known to be lost, and
        what could be read of the spendings.
    """
    rows: list[Row] = []
    spent: list[Row] = []
    with contextlib.suppress(apsw.Error):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _read_ranges(connection, rows)
            spent = run(connection, spending.ALL)
        finally:
            connection.close()
    readable = [row for row in rows if body.readable(row[3])]
    numbers = [row[0] for row in rows if isinstance(row[0], int)]
    span = max(numbers) - min(numbers) + 1 if numbers else 0
    return [row[1:] for row in readable], span - len(readable), spent


def _read_ranges(connection: apsw.Connection, rows: list[Row]) -> None:
    """Add every readable row to ``rows``; what is no database of ours ends it at once."""
    pending, misses = [(0, HIGHEST)], 0
    while pending and misses < MISSES:
        low, high = pending.pop()
        try:
            rows += run(connection, RANGE, (low, high))
        except (apsw.CorruptError, apsw.IOError):
            misses += 1
            if low < high:
                middle = (low + high) // 2
                pending += [(middle + 1, high), (low, middle)]


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
