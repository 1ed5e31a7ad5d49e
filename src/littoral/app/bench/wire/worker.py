"""The process of one worker: its task on standard input, its reports on standard output."""

import asyncio
import gc
import os
import resource
import signal
import sys
from typing import Final, final

import msgspec
import uvloop

from littoral.app.bench.message import HEAD, Ready, Report, Task, frame
from littoral.app.bench.prompt import PromptMaker, Scale, Sharing
from littoral.app.bench.request import RequestMaker
from littoral.app.bench.wire.load import Load
from littoral.app.system import SystemChance, SystemClock

REPORT_S: Final = 0.25
SPARE_FILES: Final = 64


def main() -> int:
    """Read the task, say ready, wait for the start, and run until it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = msgspec.msgpack.decode(_read(), type=Task)
    limit = min(task.most_in_flight, _files() - SPARE_FILES)
    task = msgspec.structs.replace(task, most_in_flight=limit)
    requests = maker(task)
    _write(frame(Ready(limit)))
    start = msgspec.msgpack.decode(_read(), type=float)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(_run(task, requests, loop=loop, start=start))
    finally:
        loop.close()


def maker(task: Task) -> RequestMaker:
    """What makes the requests of a task."""
    work = task.work
    prompts = PromptMaker(
        SystemChance(f"{work.seed}/words"),
        scale=Scale(per_word=work.per_word, fixed=work.fixed),
        sharing=Sharing(share=work.share, groups=work.groups),
    )
    return RequestMaker(task.address, task.key, work=work, prompts=prompts)


def _files() -> int:
    """Raise the limit of open files as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _read() -> bytes:
    """One message of the parent; its end ends us."""
    head = sys.stdin.buffer.read(HEAD)
    if len(head) < HEAD:
        sys.exit(0)
    return sys.stdin.buffer.read(int.from_bytes(head, "big"))


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _run(
    task: Task, requests: RequestMaker, *, loop: asyncio.AbstractEventLoop, start: float
) -> int:
    load = Load(task, requests, loop=loop, clock=SystemClock())
    transport, _ = await loop.connect_read_pipe(lambda: _Lifeline(load), sys.stdin.buffer)
    closed: asyncio.Future[None] = loop.create_future()
    pipe, _ = await loop.connect_write_pipe(lambda: _Outlet(closed), sys.stdout.buffer)
    before = _cpu()

    def tell(report: Report) -> None:
        report.cpu = _cpu() - before
        pipe.write(frame(report))

    def tick() -> None:
        if not load.over.done():
            tell(load.report())
            loop.call_later(REPORT_S, tick)

    load.begin(start)
    loop.call_later(REPORT_S, tick)
    await load.over
    tell(load.report())
    transport.close()
    pipe.close()
    await closed
    return 0


def _cpu() -> float:
    """CPU seconds of this process."""
    spent = os.times()
    return spent.user + spent.system


@final
class _Outlet(asyncio.BaseProtocol):
    """Our reports are out once the pipe is closed."""

    def __init__(self, closed: "asyncio.Future[None]") -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        """All is written, or the parent is gone."""
        del exc
        if not self._closed.done():
            self._closed.set_result(None)


@final
class _Lifeline(asyncio.Protocol):
    """The parent closes our standard input to stop us, or has died."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def eof_received(self) -> None:
        """Stop."""
        self._load.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop, if nothing else did."""
        del exc
        if not self._load.over.done():
            self._load.stop()
