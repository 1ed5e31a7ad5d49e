"""Carrier in memory: pipes that are slow, cut or refused as a test says, on virtual time."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from littoral.domain.link import Peer
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import ChannelClosed, Shed
from littoral.domain.units import Micros
from littoral.testing.network import listening

Handler = Callable[[Pipe], Awaitable[None]]
CAPACITY = 64


class MemoryPipe:
    """One end of a connection.

    Args:
        weather: What becomes of what is sent.
        peer: Who the other end is.
    """

    def __init__(self, weather: "Weather", *, peer: Peer | None = None) -> None:
        self._weather = weather
        self._inbox: deque[tuple[float, bytes]] = deque()
        self._changed = anyio.Event()
        self._ended: PipeClosed | None = None
        self._other: MemoryPipe | None = None
        self.peer = peer
        self.unchecked_us: tuple[Micros, Micros] | None = None

    def join(self, other: "MemoryPipe") -> None:
        """Make two ends one connection."""
        self._other, other._other = other, self  # noqa: SLF001  the two halves of one thing

    async def send(self, message: bytes) -> None:
        """Send one message; waits while many are under way."""
        other = self._other
        while other is not None and self._ended is None:
            if len(other._inbox) < CAPACITY:  # noqa: SLF001  the two halves of one thing
                if self._weather.lets_pass():
                    other.arrive(message, anyio.current_time() + self._weather.delay_s)
                else:
                    self.cut(drop=True)
                return
            await other.wait()
        raise self._ended or PipeClosed("lost", "never joined")

    async def receive(self) -> bytes:
        """The next message, once it is here."""
        while True:
            now = anyio.current_time()
            if self._inbox and self._inbox[0][0] <= now:
                message = self._inbox.popleft()[1]
                self._notify()
                return message
            if self._ended is not None and not self._inbox:
                raise self._ended
            with anyio.move_on_after(self._inbox[0][0] - now if self._inbox else None):
                await self.wait()

    async def close(self, reason: str, message: str = "") -> None:
        """End both ends; what was sent still arrives."""
        self.cut(reason, message)
        await anyio.lowlevel.checkpoint()

    def cut(self, reason: str = "lost", message: str = "cut", *, drop: bool = False) -> None:
        """End both ends now; with ``drop`` what is under way is lost."""
        for end in (self, self._other):
            if end is not None:
                end.end(PipeClosed(reason, message), drop=drop)

    def arrive(self, message: bytes, at: float) -> None:
        """Take a message that comes at a time; none overtakes another."""
        if self._weather.silent:
            return
        last = self._inbox[-1][0] if self._inbox else at
        self._inbox.append((max(at, last), message))
        self._notify()

    def end(self, why: PipeClosed, *, drop: bool) -> None:
        """This end is over."""
        if drop:
            self._inbox.clear()
        self._ended = self._ended or why
        self._notify()

    async def wait(self) -> None:
        """Until anything changes here."""
        await self._changed.wait()

    def _notify(self) -> None:
        event, self._changed = self._changed, anyio.Event()
        event.set()


class Weather:
    """What becomes of messages: how long they take, and which of them ends its connection."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.silent = False
        """Whether all of them are swallowed and nobody is told."""
        self.cuts: frozenset[int] = frozenset()
        """Numbers of messages (from 0) that are lost together with their connection."""
        self.number = -1
        """Of the last message."""

    def lets_pass(self) -> bool:
        """Whether the next message does not end its connection."""
        self.number += 1
        return self.number not in self.cuts


class MemoryCarrier:
    """Opens pipes between ends of one test.

    Args:
        peer: Who dials, as the listening end sees it.
        beside: Another node's carrier, whose listeners can be dialled from here, too.
    """

    def __init__(self, *, peer: Peer | None = None, beside: "MemoryCarrier | None" = None) -> None:
        found: dict[str, tuple[TaskGroup, Handler]] = {} if beside is None else beside.listeners
        self.listeners = found
        self.peer = peer
        self.weather = Weather()
        self.down = False
        self.full = False
        self.dialled: list[MemoryPipe] = []
        """The dialling end of each connection, oldest first."""

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Pipe]:
        """Open a pipe to a listener."""
        await anyio.sleep(self.weather.delay_s)
        if self.full:
            raise Shed(f"the listener at {address!r} is full")
        if self.down or address not in self.listeners:
            raise ChannelClosed(f"nobody listens at {address!r}")
        group, handler = self.listeners[address]
        near, far = MemoryPipe(self.weather), MemoryPipe(self.weather, peer=self.peer)
        near.join(far)
        self.dialled.append(near)
        group.start_soon(_serve, handler, far)
        try:
            yield near
        finally:
            near.cut("closed", "left")

    @asynccontextmanager
    async def listen(self, address: str, handler: Handler) -> AsyncGenerator[None]:
        """Serve each new pipe with ``handler`` until the context ends."""
        async with listening(self.listeners, address, handler):
            yield

    def cut(self, *, drop: bool = True) -> None:
        """Lose all connections that are open."""
        for pipe in self.dialled:
            pipe.cut(drop=drop)


async def _serve(handler: Handler, pipe: MemoryPipe) -> None:
    try:
        await handler(pipe)
    finally:
        pipe.cut("closed", "left")
