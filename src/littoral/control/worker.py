"""Workers: where blocking calls of control run, each store in its own bounded lane."""

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")


class Workers:
    """Runs blocking calls in threads: one at a time on the state, so writes never interleave."""

    def __init__(self) -> None:
        self._state = anyio.CapacityLimiter(1)
        self._ledger = anyio.CapacityLimiter(2)
        self._files = anyio.CapacityLimiter(1)
        self._records = anyio.CapacityLimiter(1)

    async def state(self, call: Callable[[], T]) -> T:
        """Run a call that touches the state store; no two of these overlap."""
        return await to_thread.run_sync(call, limiter=self._state)

    async def ledger(self, call: Callable[[], T]) -> T:
        """Run a call that touches the ledger."""
        return await to_thread.run_sync(call, limiter=self._ledger)

    async def files(self, call: Callable[[], T]) -> T:
        """Run a call that touches large files."""
        return await to_thread.run_sync(call, limiter=self._files)

    async def records(self, call: Callable[[], T]) -> T:
        """Run a call that touches the archive; no two of these overlap."""
        return await to_thread.run_sync(call, limiter=self._records)


class Bell:
    """Tells waiting tasks that something changed; rings that nobody awaited count too."""

    def __init__(self) -> None:
        self.count = 0
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.count += 1
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self, heard: int) -> None:
        """Return once the count is no longer ``heard``."""
        while self.count == heard:
            self._event = self._event or anyio.Event()
            await self._event.wait()
