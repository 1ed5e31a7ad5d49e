"""The workers of a run: started together, listened to, stopped together."""

import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Final, final

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from littoral.app.bench.message import HEAD, Ready, Report, Row, Task, frame
from littoral.app.child import PASSED
from littoral.app.system import environment
from littoral.domain.errors import Unavailable
from littoral.domain.ports import Clock

PROGRAM: Final = (sys.executable, "-m", "littoral", "bench-worker")
READY_S: Final = 60.0
SOON_S: Final = 0.2
"""From the word to the first request: long enough for the word to reach every worker."""
MOST_FRAME: Final = 1 << 30


@dataclass(kw_only=True)
class Harvest:
    """What came in so far.

    Args:
        start: The first scheduled moment, on the clock.
    """

    workers: int
    start: float = 0.0
    rows: list[Row] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    latest: dict[int, Report] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    lost: str = ""
    stopped: bool = False

    @property
    def sent(self) -> int:
        """Requests sent by all workers."""
        return sum(report.sent for report in self.latest.values())

    @property
    def flight(self) -> int:
        """Requests under way."""
        return sum(report.flight for report in self.latest.values())

    @property
    def waiting(self) -> int:
        """Requests whose moment has passed, held back as too many are under way."""
        return sum(report.waiting for report in self.latest.values())

    def add(self, worker: int, report: Report) -> None:
        """Take what a worker says."""
        self.rows += report.rows
        self.lags += report.lags
        self.cpu[worker] = report.cpu
        self.latest[worker] = report


@final
class Crew:
    """The workers of one run.

    Args:
        tasks: One for each.
        clock: For the common start.
    """

    def __init__(self, tasks: Sequence[Task], *, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock
        self._processes: list[Process] = []
        self.harvest = Harvest(workers=len(tasks))

    @property
    def pids(self) -> list[int]:
        """The processes of the workers."""
        return [process.pid for process in self._processes]

    async def stop(self) -> None:
        """Let no more be sent; each worker says what it has and ends."""
        self.harvest.stopped = True
        for process in self._processes:
            if process.stdin is not None:
                await process.stdin.aclose()

    async def run(self) -> None:
        """Start, and listen until every worker is done; ``harvest`` fills up meanwhile.

        Raises:
            Unavailable: A worker did not come up.
        """
        with tempfile.TemporaryFile() as log:
            async with AsyncExitStack() as stack:
                for _ in self._tasks:
                    self._processes.append(await stack.enter_async_context(_process(log.fileno())))
                await self._run(log.fileno())

    async def _run(self, log: int) -> None:
        streams = [BufferedByteReceiveStream(_out(each)) for each in self._processes]
        await self._make_ready(streams, log)
        self.harvest.start = self._clock.now() + SOON_S
        for process in self._processes:
            await _tell(process, self.harvest.start)
        async with anyio.create_task_group() as group:
            for number, stream in enumerate(streams):
                group.start_soon(self._listen, number, stream, log)

    async def _make_ready(self, streams: Sequence[BufferedByteReceiveStream], log: int) -> None:
        try:
            with anyio.fail_after(READY_S):
                for process, task in zip(self._processes, self._tasks, strict=True):
                    await _tell(process, task)
                for stream in streams:
                    msgspec.msgpack.decode(await _heard(stream), type=Ready)
        except (TimeoutError, anyio.IncompleteRead, anyio.BrokenResourceError) as error:
            raise Unavailable(f"a worker of the load did not start{_tail(log)}") from error

    async def _listen(self, number: int, stream: BufferedByteReceiveStream, log: int) -> None:
        try:
            while True:
                report = msgspec.msgpack.decode(await _heard(stream), type=Report)
                self.harvest.add(number, report)
                if report.done:
                    return
        except (anyio.IncompleteRead, anyio.BrokenResourceError, msgspec.MsgspecError):
            self.harvest.lost = f"worker {number} ended before its time{_tail(log)}"


@asynccontextmanager
async def _process(log: int) -> AsyncGenerator[Process]:
    """A worker in a session of its own, so that Ctrl-C reaches us alone."""
    given = environment()
    passed = {name: given[name] for name in PASSED if name in given}
    measured = {name: value for name, value in given.items() if name.startswith("COVERAGE_")}
    root = str(Path(__file__).parents[3])
    process = await anyio.open_process(
        list(PROGRAM),
        stdin=PIPE,
        stdout=PIPE,
        stderr=log,
        env=passed | measured | {"PYTHONPATH": root},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            with anyio.move_on_after(2.0):
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()


def _out(process: Process) -> anyio.abc.ByteReceiveStream:
    if process.stdout is None:
        raise Unavailable("a worker of the load has no output")
    return process.stdout


async def _tell(process: Process, message: object) -> None:
    if process.stdin is not None:
        await process.stdin.send(frame(message))


async def _heard(stream: BufferedByteReceiveStream) -> bytes:
    size = int.from_bytes(await stream.receive_exactly(HEAD), "big")
    return await stream.receive_exactly(min(size, MOST_FRAME))


def _tail(log: int) -> str:
    """The last line of what the workers complained of."""
    size = os.fstat(log).st_size
    lines = os.pread(log, 4096, max(0, size - 4096)).decode("utf-8", "replace").splitlines()
    return f": {lines[-1]}" if lines else ""
