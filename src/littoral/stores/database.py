"""One SQLite file of control: a writing and a reading connection, each behind its lock."""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from littoral.domain.errors import Unavailable
from littoral.stores import sqlite
from littoral.stores.sqlite import Bindings, Row, Step, run

T = TypeVar("T")
CHECKPOINT_FRAMES = 1000


class Database:
    """A file that any thread may use: writes one after the other, reads beside them.

    Each write is one synced transaction. Every method raises ``StorageFull``, ``Damaged`` or
    ``Unavailable`` for what SQLite reports; after an I/O error the next call opens the file anew,
    and the write that failed is not tried again.
    """

    def __init__(self, path: str, steps: Sequence[Step]) -> None:
        self._path = path
        self._steps = steps
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._lock: int | None = None
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._broken = False
        self._frames = 0

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: str, steps: Sequence[Step]) -> Generator["Database"]:
        """Open the file at ``path`` for as long as the context lasts; raises what ``open`` does."""
        database = cls(path, steps)
        database.open()
        try:
            yield database
        finally:
            database.close()

    def open(self) -> None:
        """Lock, open, check and migrate the file.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
            Damaged: ``quick_check`` found damage; nothing was changed.
        """
        self._lock = sqlite.hold(self._path)
        try:
            with self._translated(), self._writing, self._reading:
                self._attach()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Checkpoint, close and unlock; safe to call twice."""
        with self._writing, self._reading:
            self._detach()
            self._broken = False
            lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` in one transaction and return its result once that is synced."""
        with self._writing, self._translated():
            connection = self._writable()
            result: list[T] = []
            sqlite.transact(connection, lambda: result.append(work(connection)))
            if self._frames >= CHECKPOINT_FRAMES:
                # The write stands: a checkpoint that finds no room is tried again after the next.
                with contextlib.suppress(apsw.FullError):
                    connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
            return result[0]

    def read(self, sql: str, bindings: Bindings | None = None) -> list[Row]:
        """Rows of one query."""
        with self._translated():
            if self._broken:
                with self._writing:
                    self._writable()
            with self._reading:
                if self._reader is None:
                    raise Unavailable(f"{Path(self._path).name} is closed")
                return run(self._reader, sql, bindings)

    def _writable(self) -> apsw.Connection:
        if self._broken:
            with self._reading:
                self._attach()
        if self._writer is None:
            raise Unavailable(f"{Path(self._path).name} is closed")
        return self._writer

    def _attach(self) -> None:
        self._detach()
        self._writer = writer = sqlite.connect(self._path)
        sqlite.check(writer)
        sqlite.migrate(writer, self._steps)
        writer.set_wal_hook(self._grew)
        # Writes and syncs anew whatever a failed sync may have left in the log only.
        writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._reader = sqlite.reader(self._path)
        self._broken = False

    def _detach(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(apsw.Error):
                    connection.close()
        self._reader = self._writer = None

    def _grew(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self._frames = frames
        return apsw.SQLITE_OK

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except apsw.Error as error:
            if isinstance(error, apsw.IOError):
                self._broken = True
            raise sqlite.translated(error, self._path) from error
