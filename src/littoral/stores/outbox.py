"""The node's outbox on SQLite: one thread owns the file, commits are shared.

A caller's rows join whatever else arrived while the last sync ran; one transaction and one sync
acknowledge them all.
"""

import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import TypeAlias, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import apsw

from littoral.domain.errors import StorageFull, Unavailable
from littoral.domain.limits import Spent
from littoral.domain.outbox import Batch, Lane, Mark, Note, OutboxLevel
from littoral.domain.ports import Clock, Entropy, Failpoints, Sink
from littoral.domain.usage import UsageRecord
from littoral.stores.body import Prepared, prepared
from littoral.stores.outbox_file import OutboxFile, Tuning, World
from littoral.stores.outbox_rows import OutboxRows
from littoral.stores.sqlite import translated

DEFAULT = Tuning()
FULL = "no room on the disk for the outbox; nothing was written"


class _Job:
    """What a caller waits for: a step on the rows, or (without a step) contents to append."""

    __slots__ = ("contents", "done", "error", "result", "step")

    def __init__(
        self,
        step: Callable[[OutboxRows], object] | None,
        contents: Sequence[UsageRecord | Note] = (),
    ) -> None:
        self.step = step
        self.contents = contents
        self.done = anyio.Event()
        self.result: object = None
        self.error: Exception | None = None


_Append: TypeAlias = tuple[_Job, list[Prepared]]


class SqliteOutbox:
    """Adapter of ``Outbox``. Made by ``open``; every call runs on the thread that owns the file.

    Besides ``StorageFull`` a call may raise ``Unavailable`` after an I/O error: the file was
    reopened, what was acknowledged is there, and the same records may be appended again.
    """

    def __init__(self, file: OutboxFile, rows: OutboxRows, tuning: Tuning, *, clock: Clock) -> None:
        self._file = file
        self._rows = rows
        self._group = tuning.group
        self._window_s = tuning.window_s
        self._clock = clock
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
        rows = OutboxRows(file, path, world=world, tuning=tuning)
        outbox = cls(file, rows, tuning, clock=clock)
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

    async def put(self, notes: Sequence[Note]) -> None:
        """Write notes into their lanes and sync."""
        await self._ask(_Job(None, notes))

    async def read(self, lane: Lane, after: int, limit: int) -> Batch:
        """Rows of a lane with numbers above ``after``, in order, at most ``limit``."""
        return cast("Batch", await self._ask(_Job(lambda rows: rows.read(lane, after, limit))))

    async def stored(self, lane: Lane, mark: Mark, *, safe: int = 0) -> None:
        """Drop what control has; where it knows other rows, go on under a new name."""
        await self._ask(_Job(lambda rows: rows.stored(lane, mark, safe)))

    async def level(self) -> OutboxLevel:
        """How full it is."""
        return cast("OutboxLevel", await self._ask(_Job(lambda rows: rows.level())))

    async def spent(self) -> Sequence[Spent]:
        """What all records ever appended cost, by limit id and hour."""
        return cast("Sequence[Spent]", await self._ask(_Job(lambda rows: rows.spent())))

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
                self._attempt(self._rows.tend)
        finally:
            self._file.close()

    def _take(self) -> list[_Job]:
        """Wait for a job; take what else is there, up to one group of rows.

        Where rows are all there is, others may join them for as long as the window is open.
        """
        jobs: list[_Job] = []
        count = 0
        until = self._clock.now() + self._window_s
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            count += max(1, len(job.contents))
            if count >= self._group:
                return jobs
            rest = until - self._clock.now() if job.step is None else 0.0
            try:
                job = self._jobs.get(timeout=rest) if rest > 0 else self._jobs.get_nowait()
            except queue.Empty:
                return jobs
        self._ending = True
        return jobs

    def _serve(self, jobs: Sequence[_Job]) -> None:
        appends = [job for job in jobs if job.step is None]
        if appends:
            self._commit([(job, [prepared(each) for each in job.contents]) for job in appends])
        for job in jobs:
            if job.step is not None:
                self._step(job, job.step)

    def _commit(self, jobs: Sequence[_Append]) -> None:
        """Append the rows of all jobs; where there is no room, those of each job that fits."""
        ends: list[int] = []

        def work() -> None:
            groups = [rows for _, rows in jobs]
            self._rows.check_room([row for group in groups for row in group])
            ends.extend(self._rows.append(groups))

        error = self._attempt(work)
        if isinstance(error, StorageFull) and len(jobs) > 1:
            for job in jobs:
                self._commit([job])
            return
        for (job, _), end in zip_longest(jobs, ends):
            job.result, job.error = end, error

    def _step(self, job: _Job, step: Callable[[OutboxRows], object]) -> None:
        def work() -> None:
            job.result = step(self._rows)

        job.error = self._attempt(work, again=True)

    def _attempt(self, work: Callable[[], None], *, again: bool = False) -> Exception | None:
        """Do one piece of work and mend the file after it; returns what the caller gets to see.

        On a full disk ``again`` tries once more while the ballast is freed: what gives space back
        may use it, new rows may not.
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
            self._file.tell("outbox.io_error", f"the file cannot be opened again: {error}")
            return Unavailable(f"the outbox cannot be opened again: {error}")
        self._file.tell("outbox.io_error", f"the file was opened anew after an error: {cause}")
        return Unavailable(f"the outbox was reopened after an error: {cause}")


def _wake(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.done.set()
