"""The outbox as a file: literal SQL on one connection, called by one thread."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from littoral.domain.errors import Unavailable
from littoral.domain.ids import new_id
from littoral.domain.node import Event, Level
from littoral.domain.outbox import (
    LANES,
)
from littoral.domain.ports import Clock, Entropy, Failpoints, Sink
from littoral.domain.units import Bytes, Seconds
from littoral.stores import outbox_lane, salvage, spending, sqlite
from littoral.stores.ballast import Ballast
from littoral.stores.outbox_lane import Lanes
from littoral.stores.sqlite import run, transact
from littoral.trust.chain import KEY_BYTES

OLD_TABLE = """\
create table outbox(
  seq integer primary key, request text not null, attempt integer not null, body blob not null,
  unique(request, attempt)
) strict"""
STEPS: tuple[sqlite.Step, ...] = (
    (sqlite.META, OLD_TABLE, "insert into meta values('stored', 0)"),
    (spending.TABLE,),
    ("alter table outbox rename to carried", *outbox_lane.TABLES),
)
GET = "select value from meta where name = ?"
SET = "insert or replace into meta values(?, ?)"
CHUNK, CHUNK_WHEN_FULL = 500, 20
"""Rows deleted in one transaction; the smaller one fits into the ballast."""
FRAME = 4096 + 24
"""Bytes of one page in the write-ahead log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What may be changed about an outbox.

    ``synchronous`` 2 is FULL; less loses acknowledged records in a power cut. The ballast is larger
    than the write-ahead log gets: ``checkpoint_frames`` and one group, of 4 KiB a frame. ``quota``
    is of all lanes. ``kept_s`` is how long usage records stay after control stored them, so that a
    control that was restored can ask again. ``window_s`` is how long rows wait for others to share
    their sync with, for the sake of flash memory. ``spare`` is the least share of the disk that
    must be free for samples and metrics to be taken.
    """

    synchronous: int = 2
    group: int = 512
    checkpoint_frames: int = 160
    ballast: Bytes = Bytes(1024 * 1024)
    quota: Bytes = Bytes(2 << 30)
    kept_s: Seconds = Seconds(24 * 3600.0)
    window_s: Seconds = Seconds(0.0)
    spare: float = 0.10


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
        self.chunk = CHUNK
        self.device = 0
        self.name = ""
        self._lanes: Lanes | None = None

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

    def make_room(self, work: Callable[[], None] | None = None) -> None:
        """On a full disk: free the ballast, checkpoint, do ``work``, and take the ballast again.

        Where nothing is to be done, rows that can be spared are deleted instead.
        """
        self._ballast.free()
        self.chunk = CHUNK_WHEN_FULL
        try:
            with contextlib.suppress(apsw.FullError):
                self._checkpoint()
            if work is not None:
                work()
            else:
                self._reclaim()
        finally:
            self.chunk = CHUNK
            self._ballast.take()

    def _reclaim(self) -> None:
        """Delete some rows that control has, or that may be lost; the space is used again."""
        for _ in range(CHUNK // CHUNK_WHEN_FULL):
            more = True

            def work() -> None:
                nonlocal more
                more = self.lanes.reclaim()

            with contextlib.suppress(apsw.FullError):
                self.lanes.transact(work)
                self._checkpoint()
            if not more:
                return

    def has_room(self) -> bool:
        """Whether rows may be accepted.

        Either the ballast is in place, or it can be put there now, or the file has as much room
        inside, left by deleted rows.
        """
        if self._ballast.take():
            return True
        pages = run(self.connection(), "pragma freelist_count")[0][0]
        return isinstance(pages, int) and pages * 4096 >= self._tuning.ballast

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
            lanes = _lanes_of(connection, self._tuning.quota)
            self._fold(connection)
            connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
            lost = self._lost(lanes) if name == self.name else 0
            if lost > 0:
                name = self._renumbered(connection, lanes)
        except apsw.Error:
            connection.close()
            raise
        connection.set_wal_hook(self._grew)
        self._connection, self._frames = connection, 0
        self.name, self._lanes = name, lanes
        if lost > 0:
            self.tell("outbox.rows_lost", f"{lost} acknowledged rows are gone from the disk")

    def _lost(self, found: Lanes) -> int:
        return sum(max(0, self.lanes[lane].last - found[lane].last) for lane in LANES)

    def _connect(self, path: str) -> apsw.Connection:
        connection = sqlite.connect(path, self._pragmas)
        try:
            sqlite.check(connection)
            sqlite.migrate(connection, STEPS)
            new = "insert or ignore into meta values(?, ?)"
            run(connection, new, ("name", self._new_name()))
            run(connection, new, ("row_key", self._world.entropy.bytes(KEY_BYTES)))
            salvage.carry(connection, _lanes_of(connection, self._tuning.quota))
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
        found = salvage.rescue(self._path)
        connection = self._connect(salvage.fresh(self._path))
        try:
            lanes = _lanes_of(connection, self._tuning.quota)
            lanes.transact(lambda: salvage.fill(connection, lanes, found))
        finally:
            connection.close()
        salvage.swap(self._path, aside)
        kept = f"{len(found.rows)} rows were readable, at least {found.lost} were not"
        self.tell("outbox.damaged", f"the file was set aside as {Path(aside).name}: {kept}")

    @property
    def lanes(self) -> Lanes:
        """Its lanes, as they were when it was last open.

        Raises:
            Unavailable: It never was.
        """
        if self._lanes is None:
            raise Unavailable("the outbox is closed")
        return self._lanes

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def renumber(self) -> None:
        """Go on under a new name, with the rows that are here numbered from 1."""
        self.name = self._renumbered(self.connection(), self.lanes)

    def _renumbered(self, connection: apsw.Connection, lanes: Lanes) -> str:
        """Begin a new name, its readable rows numbered from 1."""
        name = self._new_name()

        def number() -> None:
            lanes.renumber()
            run(connection, "delete from mark")
            run(connection, SET, ("name", name))

        lanes.transact(number)
        return name

    def connection(self) -> apsw.Connection:
        """The open connection; opened anew where it had to be closed."""
        if self._connection is None:
            self.reopen()
        if self._connection is None:
            raise Unavailable("the outbox is closed")
        return self._connection

    def tend(self) -> None:
        """Checkpoint when the write-ahead log has grown enough; called after the waiters woke."""
        if self._connection is not None and self._frames >= self._tuning.checkpoint_frames:
            self._checkpoint()

    def _checkpoint(self) -> None:
        # PASSIVE leaves the log its blocks: on a full disk the next rows are written into them.
        _, moved = self.connection().wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
        self.device += max(0, moved) * 4096

    def _grew(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self.device += (frames - self._frames if frames > self._frames else frames) * FRAME
        self._frames = frames
        return apsw.SQLITE_OK

    def _new_name(self) -> str:
        world = self._world
        return new_id("ob", wall=world.clock.wall(), noise=world.entropy.bytes(10))

    def tell(self, code: str, message: str, *, level: Level = "error") -> None:
        """Say what happened to the file."""
        at = self._world.clock.wall()
        self._world.sink.emit(
            Event(at_us=at, level=level, subject="outbox", code=code, message=message)
        )


def _lanes_of(connection: apsw.Connection, quota: Bytes) -> Lanes:
    key = run(connection, GET, ("row_key",))[0][0]
    return Lanes(connection, key if isinstance(key, bytes) else b"", quota)
