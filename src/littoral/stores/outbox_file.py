"""The outbox as a file: literal SQL on one connection, called by one thread.

Numbers come from ``max(stored, highest row) + 1``, never from SQLite, which would begin at 1 again
once every row is gone. They run without a gap from ``stored + 1`` to ``last``.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import apsw

from littoral.domain.errors import Damaged, Unavailable
from littoral.domain.ids import new_id
from littoral.domain.limits import Spent
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Entropy, Failpoints, Sink
from littoral.domain.units import Bytes
from littoral.domain.usage import StoredRecord, UsageRecord
from littoral.stores import body, salvage, spending, sqlite
from littoral.stores.ballast import Ballast
from littoral.stores.sqlite import run, transact

TABLE = """\
create table outbox(
  seq integer primary key, request text not null, attempt integer not null, body blob not null,
  unique(request, attempt)
) strict"""
STEPS: tuple[sqlite.Step, ...] = (
    (sqlite.META, TABLE, "insert into meta values('stored', 0)"),
    (spending.TABLE,),
)
INSERT = "insert into outbox(seq, request, attempt, body) values(?, ?, ?, ?)"
INSERT_NEW = f"{INSERT} on conflict(request, attempt) do nothing"
READ = "select seq, body from outbox where seq > ? order by seq limit ?"
GET = "select value from meta where name = ?"
SET = "insert or replace into meta values(?, ?)"
CHUNK, CHUNK_WHEN_FULL = 500, 20
"""Rows deleted in one transaction; the smaller one fits into the ballast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What may be changed about an outbox.

    ``synchronous`` 2 is FULL; less loses acknowledged records in a power cut. The ballast is larger
    than the write-ahead log gets: ``checkpoint_frames`` and one group, of 4 KiB a frame.
    """

    synchronous: int = 2
    group: int = 512
    checkpoint_frames: int = 160
    ballast: Bytes = Bytes(1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports an outbox uses."""

    clock: Clock
    entropy: Entropy
    failpoints: Failpoints
    sink: Sink


class OutboxFile:
    """An open outbox file. Every method belongs to the one thread that owns it."""

    def __init__(self, path: str, *, world: World, tuning: Tuning) -> None:
        self._path = path
        self._world = world
        self._tuning = tuning
        self._pragmas = {"locking_mode": "exclusive", **sqlite.PRAGMAS}
        self._pragmas["synchronous"] = tuning.synchronous
        self._ballast = Ballast(f"{path}.ballast", tuning.ballast)
        self._lock: int | None = None
        self._connection: apsw.Connection | None = None
        self._frames = 0
        self._chunk = CHUNK
        self.name = ""
        self.stored = 0
        self.last = 0

    def open(self) -> None:
        """Lock and open the file; a damaged one is set aside and its readable rows kept.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
        """
        self._lock = sqlite.hold(self._path)
        try:
            self._attach()
            self._ballast.take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Checkpoint, close and unlock."""
        self._detach()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def reopen(self) -> None:
        """After an I/O error: close, open, check, and compare with what was acknowledged.

        A sync is never tried again on the same descriptors: the kernel may have dropped what it
        could not write, and then say that all is well. The checkpoint on the way in writes and
        syncs everything readable anew.
        """
        self._detach()
        self._attach()

    def append(self, groups: Sequence[Sequence[UsageRecord]]) -> list[int]:
        """Write all groups in one synced transaction; returns the last number after each."""
        connection = self._open_connection()
        ends: list[int] = []

        def insert() -> None:
            self._world.failpoints.hit("outbox.begin")
            ends.extend(_insert(connection, groups, self.last))

        transact(connection, insert)
        self.last = ends[-1] if ends else self.last
        self._world.failpoints.hit("outbox.committed")
        return ends

    def read(self, after: int, limit: int) -> list[StoredRecord]:
        """Records with seq above ``after``, in order."""
        rows = run(self._open_connection(), READ, (max(after, self.stored), limit))
        try:
            return [StoredRecord(seq=_int(seq), record=body.unpack(blob)) for seq, blob in rows]
        except Damaged as error:
            self._renumber()
            self._tell("outbox.damaged", f"{error.message}: it is left out under a new name")
            return []

    def spent(self) -> list[Spent]:
        """What all records ever appended cost, by limit id and hour."""
        return spending.read(self._open_connection())

    def forget(self, upto: int) -> None:
        """Delete rows up to ``upto``; above the last number, begin a new name.

        Whoever stored more than this file ever numbered knows a later state of it: the disk was
        restored or copied. Under the old name new records would be taken for known ones.
        """
        if upto > self.last:
            known = f"{upto} records are stored, but only {self.last} were ever numbered"
            self._renumber()
            self._tell("outbox.forked", f"{known}: the rest is sent under a new name")
            return
        connection = self._open_connection()
        while self.stored < upto:
            chunk = min(upto, self.stored + self._chunk)

            def delete(chunk: int = chunk) -> None:
                run(connection, "delete from outbox where seq <= ?", (chunk,))
                run(connection, SET, ("stored", chunk))

            transact(connection, delete)
            self.stored = chunk
            self._world.failpoints.hit("rows.deleted")
            self.tend()

    def make_room(self, work: Callable[[], None] | None = None) -> None:
        """On a full disk: free the ballast, checkpoint, do ``work``, and take the ballast again."""
        self._ballast.free()
        self._chunk = CHUNK_WHEN_FULL
        try:
            with contextlib.suppress(apsw.FullError):
                self._checkpoint()
            if work is not None:
                work()
        finally:
            self._chunk = CHUNK
            self._ballast.take()

    def has_room(self) -> bool:
        """Whether records may be accepted.

        Either the ballast is in place, or it can be put there now, or the file has as much room
        inside, left by deleted rows.
        """
        if self._ballast.take():
            return True
        pages = run(self._open_connection(), "pragma freelist_count")[0][0]
        return _int(pages) * 4096 >= self._tuning.ballast

    def tend(self) -> None:
        """Checkpoint when the write-ahead log has grown enough; called after the waiters woke."""
        if self._connection is not None and self._frames >= self._tuning.checkpoint_frames:
            self._checkpoint()

    def _attach(self) -> None:
        aside = f"{self._path}.damaged-{self._world.clock.wall()}"
        salvage.finish(self._path, aside)
        try:
            connection = self._connect(self._path)
        except (apsw.CorruptError, apsw.NotADBError):
            self._salvage(aside)
            connection = self._connect(self._path)
        try:
            name = str(run(connection, GET, ("name",))[0][0])
            stored = _int(run(connection, GET, ("stored",))[0][0])
            highest = _int(run(connection, "select coalesce(max(seq), 0) from outbox")[0][0])
            self._fold(connection)
            connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
            last = max(stored, highest)
            lost = self.last - last if name == self.name else 0
            if lost > 0:
                name, stored, last = self._renumbered(connection)
        except apsw.Error:
            connection.close()
            raise
        connection.set_wal_hook(self._grew)
        self._connection = connection
        self.name, self.stored, self.last = name, stored, last
        if lost > 0:
            self._tell("outbox.rows_lost", f"{lost} acknowledged records are gone from the disk")

    def _connect(self, path: str) -> apsw.Connection:
        connection = sqlite.connect(path, self._pragmas)
        try:
            sqlite.check(connection)
            sqlite.migrate(connection, STEPS)
            run(connection, "insert or ignore into meta values('name', ?)", (self._new_name(),))
        except BaseException:
            connection.close()
            raise
        return connection

    def _fold(self, connection: apsw.Connection) -> None:
        """Sum up old spendings; on a full disk that waits for another start."""
        now = self._world.clock.wall()
        with contextlib.suppress(apsw.FullError):
            transact(connection, lambda: spending.fold(connection, now))

    def _detach(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing may checkpoint: that touches only frames whose sync had succeeded.
            with contextlib.suppress(apsw.Error):
                connection.close()

    def _salvage(self, aside: str) -> None:
        rows, lost, spent = salvage.rescue(self._path)
        connection = self._connect(salvage.fresh(self._path))

        def fill() -> None:
            for number, (request, attempt, blob) in enumerate(rows, 1):
                run(connection, INSERT_NEW, (number, request, attempt, blob))
            if spent:
                spending.restore(connection, spent)
            else:
                spending.add(connection, (body.unpack(row[2]) for row in rows))

        try:
            transact(connection, fill)
        finally:
            connection.close()
        salvage.swap(self._path, aside)
        kept = f"{len(rows)} records were readable, at least {lost} were not"
        self._tell("outbox.damaged", f"the file was set aside as {Path(aside).name}: {kept}")

    def _renumber(self) -> None:
        self.name, self.stored, self.last = self._renumbered(self._open_connection())

    def _renumbered(self, connection: apsw.Connection) -> tuple[str, int, int]:
        """Begin a new name, its readable records numbered from 1."""
        name, count = self._new_name(), 0

        def number() -> None:
            nonlocal count
            for (seq,) in run(connection, "select seq from outbox order by seq"):
                blob = run(connection, "select body from outbox where seq = ?", (seq,))[0][0]
                if body.readable(blob):
                    count += 1
                    run(connection, "update outbox set seq = ? where seq = ?", (count, seq))
                else:
                    run(connection, "delete from outbox where seq = ?", (seq,))
            run(connection, SET, ("name", name))
            run(connection, SET, ("stored", 0))

        transact(connection, number)
        return name, 0, count

    def _open_connection(self) -> apsw.Connection:
        if self._connection is None:
            self.reopen()
        if self._connection is None:
            raise Unavailable("the outbox is closed")
        return self._connection

    def _checkpoint(self) -> None:
        # PASSIVE leaves the log its blocks: on a full disk the next rows are written into them.
        self._open_connection().wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _grew(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self._frames = frames
        return apsw.SQLITE_OK

    def _new_name(self) -> str:
        world = self._world
        return new_id("ob", wall=world.clock.wall(), noise=world.entropy.bytes(10))

    def _tell(self, code: str, message: str) -> None:
        at = self._world.clock.wall()
        self._world.sink.emit(
            Event(at_us=at, level="error", subject="outbox", code=code, message=message)
        )


def _insert(
    connection: apsw.Connection, groups: Sequence[Sequence[UsageRecord]], last: int
) -> list[int]:
    """Insert all in one go; where one is known already, number the others one by one.

    Any other error may have ended the transaction, and the savepoint with it.
    """
    records = [record for group in groups for record in group]
    rows = [
        (number, record.request, record.attempt, body.pack(record))
        for number, record in enumerate(records, last + 1)
    ]
    run(connection, "savepoint batch")
    try:
        sqlite.run_many(connection, INSERT, rows)
        spending.add(connection, records)
        ends = [last + end for end in accumulate(len(group) for group in groups)]
    except apsw.ConstraintError:
        run(connection, "rollback to batch")
        ends = _insert_singly(connection, groups, last)
    run(connection, "release batch")
    return ends


def _insert_singly(
    connection: apsw.Connection, groups: Sequence[Sequence[UsageRecord]], last: int
) -> list[int]:
    ends: list[int] = []
    for group in groups:
        for record in group:
            row = (last + 1, record.request, record.attempt, body.pack(record))
            run(connection, INSERT_NEW, row)
            if connection.changes():
                last += 1
                spending.add(connection, (record,))
        ends.append(last)
    return ends


def _int(value: sqlite.Value) -> int:
    if not isinstance(value, int):
        raise apsw.CorruptError(f"{value!r} is not a number")
    return value
