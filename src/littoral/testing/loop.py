"""An event loop on virtual time: waiting costs nothing, and the same code gives the same trace.

When nothing is ready the loop moves its clock to the next timer instead of sleeping. When there is
no timer either, nothing could ever happen again: it raises ``Deadlock`` where a real loop would
hang. It has no sockets and never sees a worker thread: twins use neither.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio

from littoral.domain.units import Micros, Seconds

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits and no timer is set."""


class _TimeSelector(selectors.BaseSelector):
    """Watches no files: waiting means telling the loop how long it would have been."""

    def __init__(self) -> None:
        self.waited: Callable[[float], None] = lambda _seconds: None
        self._none: dict[object, selectors.SelectorKey] = {}

    def register(self, fileobj: object, events: int, data: object = None) -> selectors.SelectorKey:
        raise OSError(f"virtual time knows no files: {fileobj!r}, {events}, {data!r}")

    def unregister(self, fileobj: object) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._none

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("no task can run and no timer is set")
        self.waited(max(timeout, 0.0))
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """Event loop whose time passes only by waiting."""

    def __init__(self) -> None:
        self._virtual = 0.0
        selector = _TimeSelector()
        super().__init__(selector)
        selector.waited = self._pass

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual

    def _pass(self, seconds: float) -> None:
        self._virtual += seconds + 1e-9 * bool(seconds)

    def _make_self_pipe(self) -> None:
        """No other thread may wake this loop, so it needs no pipe."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps."""


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
        """The epoch plus the loop's time."""
        return Micros(self._epoch + round(self.now() * 1e6))


def simulate(main: Callable[[], Awaitable[T]]) -> T:
    """Run ``main`` to its end on virtual time."""
    return anyio.run(main, backend_options={"loop_factory": SimLoop})
