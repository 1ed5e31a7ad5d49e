"""An event loop on virtual time: waiting costs nothing, and the same code gives the same trace.

When nothing is ready the loop moves its clock to the next timer instead of sleeping. When there is
no timer either, nothing could ever happen again: it raises ``Deadlock`` where a real loop would
hang; the same where tasks run on and on while its clock stands still. An alarm whose handler
raises, as a test's time limit does, ends the run wherever it strikes: a callback, a task that
catches everything, the bookkeeping of a cancel scope. The loop has no sockets and never sees a
worker thread: twins use neither. Its tasks are numbered, and sets of them have the order of their
numbers, so the same seed gives the same run in every process.
"""

import asyncio
import selectors
import signal
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import Context
from heapq import heapify, heappop, heappush
from types import FrameType
from typing import Any, Final, TypeVar, cast

import anyio

from littoral.domain.units import Micros, Seconds

T = TypeVar("T")


TURNS: Final = 100_000
"""So many turns of the loop at one moment are no work any more."""
LATE: Final = 1e-9
"""Seconds by which a timer comes late, as it does in every loop: sums of floats round down, too."""
MOST_OVER: Final = 1_000
"""So many more timers than half of all may have been given up before they are thrown away."""


class Deadlock(RuntimeError):
    """Every task waits and no timer is set, or tasks run for ever at one moment."""


class _NoFiles(selectors.BaseSelector):
    """Watches no files."""

    def __init__(self) -> None:
        self._none: dict[object, selectors.SelectorKey] = {}

    def register(self, fileobj: object, events: int, data: object = None) -> selectors.SelectorKey:
        raise OSError(f"virtual time knows no files: {fileobj!r}, {events}, {data!r}")

    def unregister(self, fileobj: object) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._none

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise OSError(f"virtual time knows no files: nothing to wait for, {timeout!r}")


class _Numbered(asyncio.Task[Any]):
    """A task that sets hold in the order of its number, not of its place in memory."""

    def __init__(
        self,
        work: Coroutine[Any, Any, object],
        number: int,
        *,
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._number = number  # before the rest, which puts it into a set
        super().__init__(work, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number


class _Call(asyncio.Handle):
    """What is to be called now."""

    __slots__ = ()

    def run(self) -> None:
        """Call it."""
        self._run()


class _Timer(asyncio.TimerHandle):
    """What is to be called later."""

    __slots__ = ()

    def run(self) -> None:
        """Call it."""
        self._run()


class SimLoop(asyncio.SelectorEventLoop):
    """Event loop whose time passes only by waiting, or by ``stall``.

    What is to be called now stands in a queue, what is to be called later in a heap: of two timers
    of one moment the one that was set first comes first.
    """

    def __init__(self) -> None:
        self._virtual = 0.0
        self._ahead_us = 0
        self._tasks = 0
        self._soon: deque[_Call | _Timer] = deque()
        self._later: list[tuple[float, int, _Timer]] = []
        self._timers = 0
        self._most = 0
        self._turns = 0
        self._struck: BaseException | None = None
        super().__init__(_NoFiles())
        self.set_task_factory(self._number)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual

    @property
    def ahead_us(self) -> int:
        """Microseconds that went by on every wall clock while this loop's own time stood still."""
        return self._ahead_us

    def leap(self, seconds: float) -> None:
        """Let wall time alone pass, as while everything is suspended."""
        self._ahead_us += round(max(seconds, 0.0) * 1e6)

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call at the next turn."""
        handle = _Call(callback, args, self, context)
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # no other thread may wake this loop: it never sleeps

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a time."""
        self._timers += 1
        timer = _Timer(when, callback, args, self, context)
        heappush(self._later, (when, self._timers, timer))
        return timer

    def _run_once(self) -> None:
        """One turn: what is to be called now, after a wait where there is nothing."""
        if self._struck is not None:
            raise self._struck
        soon, later = self._soon, self._later
        if soon:
            self._turns += 1
            if self._turns > TURNS:
                self._turns = 0  # the tasks have as many again to end in
                raise Deadlock(f"time stands still: {TURNS} turns of the loop at one moment")
        else:
            self._wait()
        while later and later[0][0] <= self._virtual:
            soon.append(heappop(later)[2])
        for _ in range(len(soon)):
            handle = soon.popleft()
            if not handle.cancelled():
                handle.run()

    def _wait(self) -> None:
        """Let time pass until the next timer."""
        later = self._later
        if len(later) > self._most:
            later[:] = [each for each in later if not each[2].cancelled()]
            heapify(later)
            self._most = 2 * len(later) + MOST_OVER
        while later and later[0][2].cancelled():
            heappop(later)
        if not later:
            raise Deadlock("no task can run and no timer is set")
        if later[0][0] > self._virtual:
            self._virtual, self._turns = later[0][0] + LATE, 0

    def run_forever(self) -> None:
        """Run until stopped, or until the handler of an alarm has raised."""
        before = signal.getsignal(signal.SIGALRM)
        if not callable(before) or threading.current_thread() is not threading.main_thread():
            super().run_forever()
            return

        def alarm(number: int, frame: FrameType | None) -> None:
            try:
                before(number, frame)
            except BaseException as error:
                self._struck = error  # whoever is struck may catch it
                raise

        signal.signal(signal.SIGALRM, alarm)
        try:
            super().run_forever()
        finally:
            signal.signal(signal.SIGALRM, before)
            self._struck = None

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as when a process is stopped."""
        self._virtual += max(seconds, 0.0)

    def _number(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, object] | Generator[Any, None, object],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> _Numbered:
        self._tasks += 1
        coroutine = cast("Coroutine[Any, Any, object]", work)
        task = _Numbered(coroutine, self._tasks, loop=loop, context=context)
        if name is not None:
            task.set_name(name)
        return task

    def _make_self_pipe(self) -> None:
        """No other thread may wake this loop, so it needs no pipe."""

    def _close_self_pipe(self) -> None:
        """There is none."""


class LoopClock:
    """Clock on the running loop's time.

    Args:
        epoch: UTC microseconds at the loop's second 0.
    """

    def __init__(self, epoch: Micros = Micros(1_800_000_000_000_000)) -> None:
        self._epoch = epoch

    def now(self) -> Seconds:
        """Seconds of the loop."""
        return Seconds(asyncio.get_running_loop().time())

    def wall(self) -> Micros:
        """The epoch plus the loop's time, and what wall clocks went on without it."""
        loop = asyncio.get_running_loop()
        ahead_us = loop.ahead_us if isinstance(loop, SimLoop) else 0
        return Micros(self._epoch + round(loop.time() * 1e6) + ahead_us)


def later(seconds: float, call: Callable[[], object]) -> None:
    """Let the running loop make a call when so much time has passed."""
    asyncio.get_running_loop().call_later(seconds, call)


def stall(seconds: float) -> None:
    """Let virtual time pass in which nothing runs.

    Raises:
        RuntimeError: The running loop is a real one.
    """
    _virtual().stall(seconds)


def leap(seconds: float) -> None:
    """Let wall time alone pass: monotonic clocks stand still, as while everything is suspended.

    Raises:
        RuntimeError: The running loop is a real one.
    """
    _virtual().leap(seconds)


def _virtual() -> SimLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SimLoop):
        raise RuntimeError("only virtual time can be made to pass")  # noqa: TRY004  of the loop, not an argument
    return loop


def simulate(main: Callable[[], Awaitable[T]]) -> T:
    """Run ``main`` to its end on virtual time."""
    return anyio.run(main, backend_options={"loop_factory": SimLoop})
