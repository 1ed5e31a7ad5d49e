"""The node's outbox of usage records on SQLite: one thread owns the file, commits are shared.

A caller's records join whatever else arrived while the last sync ran; one transaction and one sync
acknowledge them all.
"""

import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import cast

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import apsw

from littoral.domain.errors import StorageFull, Unavailable
from littoral.domain.limits import Spent
from littoral.domain.ports import Clock, Entropy, Failpoints, Sink
from littoral.domain.usage import StoredRecord, UsageRecord
from littoral.stores.outbox_file import OutboxFile, Tuning, World
from littoral.stores.sqlite import translated

DEFAULT = Tuning()
FULL = "no room on the disk for usage records; nothing was written"


class _Job:
    """What a caller waits for: a step on the file, or (without a step) records to append."""

    __slots__ = ("done", "error", "records", "result", "step")

    def __init__(
        self, step: Callable[[OutboxFile], object] | None, records: Sequence[UsageRecord] = ()
    ) -> None:
        self.step = step
        self.records = records
        self.done = anyio.Event()
        self.result: object = None
        self.error: Exception | None = None


class SqliteOutbox:
    """Adapter of ``Outbox``. Made by ``open``; every call runs on the thread that owns the file.

    Besides ``StorageFull`` a call may raise ``Unavailable`` after an I/O error: the file was
    reopened, what was acknowledged is there, and the same records may be appended again.
    """

    def __init__(self, file: OutboxFile, tuning: Tuning) -> None:
        self._file = file
        self._group = tuning.group
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._token = anyio.lowlevel.current_token()
        self._thread = threading.Thread(target=self._own, name="outbox", daemon=True)
        self._closed = False
        self._ending = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str,
        *,
        clock: Clock,
        entropy: Entropy,
        failpoints: Failpoints,
        sink: Sink,
        tuning: Tuning = DEFAULT,
    ) -> AsyncGenerator["SqliteOutbox"]:
        """Open the file at ``path`` for as long as the context lasts.

        ``sink`` is told, on the thread that owns the file, of damage and of rows that were lost.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
            StorageFull: There is no room to create it.
        """
        world = World(clock=clock, entropy=entropy, failpoints=failpoints, sink=sink)
        file = OutboxFile(path, world=world, tuning=tuning)
        try:
            await anyio.to_thread.run_sync(file.open)
        except apsw.Error as error:
            raise translated(error, path) from error
        outbox = cls(file, tuning)
        outbox._thread.start()
        try:
            yield outbox
        finally:
            with anyio.CancelScope(shield=True):
                await outbox._close()

    @property
    def name(self) -> str:
        """Identity of this outbox: a new disk, or one whose rows were renumbered, has a new one."""
        return self._file.name

    async def append(self, records: Sequence[UsageRecord]) -> int:
        """Write records and sync; returns the last number given so far."""
        return cast("int", await self._ask(_Job(None, records)))

    async def read(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Records with seq above ``after``, in order, at most ``limit``."""
        rows = await self._ask(_Job(lambda file: file.read(after, limit)))
        return cast("Sequence[StoredRecord]", rows)

    async def stored(self, upto: int) -> None:
        """Drop records up to ``upto``; above the last number, go on under a new name."""
        await self._ask(_Job(lambda file: file.forget(upto)))

    async def depth(self) -> int:
        """How many records wait to be stored."""
        return cast("int", await self._ask(_Job(lambda file: file.last - file.stored)))

    async def spent(self) -> Sequence[Spent]:
        """What all records ever appended cost, by limit id and hour."""
        return cast("Sequence[Spent]", await self._ask(_Job(lambda file: file.spent())))

    async def _ask(self, job: _Job) -> object:
        if self._closed:
            raise Unavailable("the outbox is closed")
        self._jobs.put(job)
        await job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result

    async def _close(self) -> None:
        self._closed = True
        self._jobs.put(None)
        await anyio.to_thread.run_sync(self._thread.join)

    def _own(self) -> None:
        try:
            while not self._ending:
                jobs = self._take()
                self._serve(jobs)
                anyio.from_thread.run_sync(_wake, jobs, token=self._token)
                self._attempt(self._file.tend)
        finally:
            self._file.close()

    def _take(self) -> list[_Job]:
        """Wait for a job; take what else is there, up to one group of records."""
        jobs: list[_Job] = []
        count = 0
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            count += max(1, len(job.records))
            if count >= self._group:
                return jobs
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs
        self._ending = True
        return jobs

    def _serve(self, jobs: Sequence[_Job]) -> None:
        appends = [job for job in jobs if job.step is None]
        if appends:
            self._commit(appends)
        for job in jobs:
            if job.step is not None:
                self._step(job, job.step)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        """Append the records of all jobs; where the disk is full, those of each job that fits."""
        ends: list[int] = []
        error = self._attempt(self._check_room)
        if error is None:
            error = self._attempt(lambda: ends.extend(self._file.append([j.records for j in jobs])))
            if isinstance(error, StorageFull) and len(jobs) > 1:
                for job in jobs:
                    self._commit([job])
                return
        for job, end in zip_longest(jobs, ends):
            job.result, job.error = end, error

    def _check_room(self) -> None:
        if not self._file.has_room():
            raise StorageFull(FULL)

    def _step(self, job: _Job, step: Callable[[OutboxFile], object]) -> None:
        def work() -> None:
            job.result = step(self._file)

        job.error = self._attempt(work, again=True)

    def _attempt(self, work: Callable[[], None], *, again: bool = False) -> Exception | None:
        """Do one piece of work and mend the file after it; returns what the caller gets to see.

        On a full disk ``again`` tries once more while the ballast is freed: what gives space back
        may use it, new records may not.
        """
        try:
            work()
        except apsw.FullError:
            error = self._attempt(lambda: self._file.make_room(work if again else None))
            return error if again else error or StorageFull(FULL)
        except (apsw.IOError, apsw.CorruptError, apsw.NotADBError) as error:
            return self._mend(error)
        except Exception as error:  # noqa: BLE001  raised again in the task that waits for it
            return error
        return None

    def _mend(self, cause: apsw.Error) -> Exception:
        try:
            self._file.reopen()
        except (apsw.Error, OSError) as error:
            return Unavailable(f"the outbox cannot be opened again: {error}")
        return Unavailable(f"the outbox was reopened after an error: {cause}")


def _wake(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.done.set()
