"""Grouped: one SQLite file, one transaction at a time, commits shared.

Calls that wait while a transaction is synced go into the next one together. Bytes are bounded by
the file's greatest number of pages, so a full store and a full disk are one error.
"""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import anyio
import anyio.to_thread
import apsw

from littoral.domain.errors import LittoralError, StorageFull
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Sink
from littoral.domain.units import Bytes
from littoral.stores import sqlite
from littoral.stores.sqlite import run, transact, translated

PAGE = 4096
CHECKPOINT_FRAMES = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a file holds.

    ``subject`` and ``code`` are those of the event of its damage, ``contents`` names it in errors;
    ``steps`` make its tables.
    """

    subject: str
    code: str
    contents: str
    steps: tuple[sqlite.Step, ...]


class _Job:
    """One step of the next transaction, and what became of it."""

    __slots__ = ("error", "result", "step")

    def __init__(self, step: Callable[[apsw.Connection], object]) -> None:
        self.step = step
        self.result: object = None
        self.error: Exception | None = None


class GroupedFile:
    """A file of rows that can be asked for again; made by ``open``."""

    def __init__(self, path: str, layout: Layout, *, clock: Clock, most: Bytes) -> None:
        self._path = path
        self._layout = layout
        self._clock = clock
        self._most = most
        self._turn = anyio.Lock()
        self._waiting: list[_Job] = []
        self._connection: apsw.Connection | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str, layout: Layout, *, clock: Clock, sink: Sink, most: Bytes
    ) -> AsyncGenerator["GroupedFile"]:
        """Open the file at ``path`` for as long as the context lasts.

        A damaged file is set aside and told of; the store then begins empty.

        Args:
            path: Of the file.
            layout: What it holds.
            clock: What the time is.
            sink: Told of damage.
            most: Bytes that the file may have.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
        """
        store = cls(path, layout, clock=clock, most=most)
        lock = sqlite.hold(path)
        try:
            await anyio.to_thread.run_sync(store._attach, sink)
            yield store
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(store._detach)
            os.close(lock)

    async def do(self, step: Callable[[apsw.Connection], T]) -> T:
        """Run a step in the next transaction.

        Who is cancelled meanwhile hears what became of it first: others may have begun it.
        """
        job = _Job(step)
        self._waiting.append(job)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if self._waiting and job in self._waiting:
                    jobs, self._waiting = self._waiting, []
                    await anyio.to_thread.run_sync(self._serve, jobs)
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    def _serve(self, jobs: Sequence[_Job]) -> None:
        """Do all jobs in one transaction; where it fails as a whole, each in its own."""
        try:
            self._commit(jobs)
        except (apsw.Error, OSError) as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._serve([job])
                return
            jobs[0].error = self._mend(error)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        connection = self._connection or self._connect()

        def work() -> None:
            for job in jobs:
                job.error = None
                try:
                    job.result = job.step(connection)
                except LittoralError as error:
                    job.error = error

        transact(connection, work)

    def _mend(self, error: apsw.Error | OSError) -> Exception:
        """What the caller sees; after anything but a full disk the file is opened anew."""
        if isinstance(error, apsw.FullError):
            contents = self._layout.contents
            return StorageFull(f"no room for {contents}; delete some, or let them expire")
        self._detach()
        return translated(error, self._path) if isinstance(error, apsw.Error) else error

    def _attach(self, sink: Sink) -> None:
        try:
            self._connect()
        except (apsw.CorruptError, apsw.NotADBError) as error:
            self._detach()
            aside = f"{self._path}.damaged-{self._clock.wall()}"
            Path(self._path).replace(aside)
            for rest in ("-wal", "-shm"):
                Path(self._path + rest).unlink(missing_ok=True)
            sink.emit(
                Event(
                    at_us=self._clock.wall(),
                    level="error",
                    subject=self._layout.subject,
                    code=self._layout.code,
                    message=f"{error}: the file was set aside as {Path(aside).name}",
                )
            )
            self._connect()

    def _connect(self) -> apsw.Connection:
        pragmas = {
            "locking_mode": "exclusive",
            **sqlite.PRAGMAS,
            "wal_autocheckpoint": CHECKPOINT_FRAMES,
            "recursive_triggers": 1,  # what is replaced leaves as what is deleted does
        }
        connection = self._connection = sqlite.connect(self._path, pragmas)
        sqlite.check(connection)
        sqlite.migrate(connection, self._layout.steps)
        run(connection, f"pragma max_page_count = {max(self._most // PAGE, 64)}")
        return connection

    def _detach(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
