"""WAN: links between hosts, late, cut and half-open, each an ordered pipe of bytes as TCP gives.

What is sent into a cut link waits, as retransmission makes it; after ``GIVE_UP`` the sender's end
breaks and the other end knows nothing of it. What was on its way when a connection ended may still
arrive, beside the frames of the next one.
"""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.ports import Chance, Channel, ChannelClosed
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.lab.life import Life
from littoral.lab.trace import Trace
from littoral.testing.chance import SeededChance
from littoral.testing.loop import later

GIVE_UP = Seconds(20.0)
RESET_WITHIN = Seconds(15.0)
DIAL = Seconds(10.0)
WINDOW = 64
"""Frames on their way, or not yet read, before a sender waits."""
Handler = Callable[[Channel], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How frames are written: the product's own codec."""

    pack: Callable[[Frame], bytes]
    unpack: Callable[[bytes], Frame]


class Link:
    """The way from one edge to the cloud.

    Args:
        name: Of the edge.
        chance: Draws delays.
        now: Virtual time.
        delay_s: One way, at least; as much again comes by chance.
    """

    def __init__(
        self, name: str, *, chance: Chance, now: Callable[[], Seconds], delay_s: Seconds
    ) -> None:
        self.name = name
        self._cuts: set[str] = set()
        self.now = now
        self._chance = chance
        self._delay = delay_s
        self._ends: list[End] = []

    def delay(self, chance: Chance) -> float:
        """Draw one way's time."""
        return self._delay * (1.0 + chance.random())

    def chance(self) -> Chance:
        """Chance of its own for one end of a connection, whoever else draws meanwhile."""
        return SeededChance(self._chance.random())

    def join(self, end: "End") -> None:
        """Carry what this end sends, for as long as it is open."""
        self._ends = [each for each in self._ends if each.alive]
        self._ends.append(end)

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return bool(self._cuts)

    def cut(self, why: str) -> None:
        """Carry nothing more; nobody is told."""
        self._cuts.add(why)

    def heal(self, why: str) -> None:
        """Carry again, first what waited, unless something else is in the way."""
        self._cuts.discard(why)
        if not self._cuts:
            for end in self._ends:
                end.resume()

    def lose_power(self) -> None:
        """The edge is off: its ends are gone without a word, and nothing arrives."""
        for end in self._ends:
            if end.near:
                end.vanish()
        self.cut("off")

    def reset(self) -> None:
        """Break every connection: the edge knows at once, the cloud hears what is on its way."""
        for end in self._ends:
            if end.near:
                end.break_off("connection reset")
            else:
                later(RESET_WITHIN * end.chance.random(), partial(end.break_off, "reset"))


class End:
    """One end of a connection; a ``Channel``.

    Args:
        link: What carries it.
        wire: How frames are written.
        life: Of the process that holds it.
        trace: Is told what arrives.
        near: Whether it is the edge's.

    Attributes:
        other: The other end.
        chance: Of its own.
        inbox: What has arrived and was not read.
        ended: Whether the other end has closed.
    """

    other: "End"

    def __init__(self, link: Link, wire: Wire, life: Life, *, trace: Trace, near: bool) -> None:
        self._link = link
        self.chance = link.chance()
        self._wire = wire
        self._life = life
        self._trace = trace
        self.near = near
        self._label = f"{link.name} hears" if near else f"{link.name} says"
        self.inbox: deque[bytes] = deque()
        self._held: deque[bytes | None] = deque()
        self._under_way: deque[bytes | None] = deque()
        self._last = 0.0
        self._broken = ""
        self.ended = False
        self._closed = False
        self._moved = anyio.Event()
        link.join(self)

    @property
    def alive(self) -> bool:
        """Whether anything can still come of it."""
        done = self._closed and not self._held and not self._under_way
        return not self._broken and not done

    @property
    def peer(self) -> NodeId | None:
        """Nobody shows a certificate: nodes do not join here, they are there."""
        return None

    def link(self) -> LinkFacts | None:
        """Nothing is measured here."""
        return None

    # what its holder does

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while too much is on its way."""
        while not self.gone and len(self._under_way) + len(self.other.inbox) >= WINDOW:
            await self._moved.wait()
        if self.gone:
            raise ChannelClosed(self._broken or "closed")
        self._life.check()
        self._carry(self._wire.pack(frame))

    async def receive(self) -> Frame:
        """The next frame."""
        while not self.inbox:
            if self.ended or self.gone:
                raise ChannelClosed(self._broken or "the peer is gone")
            await self._moved.wait()
        data = self.inbox.popleft()
        self.other.notify()
        self._life.check()
        self._trace.note(self._label, data)
        try:
            return self._wire.unpack(data)
        except Damaged as error:
            raise ChannelClosed(error.message) from error

    async def close(self) -> None:
        """End it; what was sent still arrives."""
        if not self._closed:
            self._closed = True
            if not self._broken:
                self._carry(None)
            self.notify()

    # what happens to it

    @property
    def gone(self) -> bool:
        """Whether its holder has closed it, or knows that it is broken."""
        return self._closed or bool(self._broken)

    def vanish(self) -> None:
        """Its host lost power: nobody says goodbye, and who asks later is told it is unknown."""
        self._broken = "the host is off"
        self._held.clear()

    def break_off(self, why: str) -> None:
        """Know that the connection is no more."""
        self._broken = self._broken or why
        self._held.clear()
        self.notify()

    def resume(self) -> None:
        """Send again what waited for the link."""
        held, self._held = self._held, deque()
        for data in held:
            self._carry(data)

    def _carry(self, data: bytes | None) -> None:
        if self._link.is_cut:
            self._hold(data)
            return
        now = self._link.now()
        self._last = max(self._last, now + self._link.delay(self.chance))
        self._under_way.append(data)  # timers of one moment have no order: this has
        later(self._last - now, self._arrive)

    def _hold(self, data: bytes | None) -> None:
        if not self._held:
            later(GIVE_UP, self._give_up)
        self._held.append(data)

    def _give_up(self) -> None:
        if self._held:
            self.break_off("no acknowledgement for too long")

    def _arrive(self) -> None:
        data = self._under_way.popleft()
        if self._link.is_cut:
            if not self._broken:
                self._hold(data)
        elif self.other.gone:
            self.break_off("the peer is gone")
        elif data is None:
            self.other.ended = True
            self.other.notify()
        else:
            self.other.inbox.append(data)
            self.other.notify()

    def notify(self) -> None:
        """Wake whoever waits at this end."""
        moved, self._moved = self._moved, anyio.Event()
        moved.set()


@dataclass(frozen=True, slots=True)
class _Listener:
    group: TaskGroup
    handler: Handler
    life: Life


class Wan:
    """Every listener of the fleet, by address.

    Args:
        wire: How frames are written.
        trace: Is told what arrives.
    """

    def __init__(self, wire: Wire, trace: Trace) -> None:
        self.wire = wire
        self.trace = trace
        self.listeners: dict[str, _Listener] = {}

    @asynccontextmanager
    async def dial(self, address: str, link: Link, life: Life) -> AsyncGenerator[Channel]:
        """Connect over a link."""
        life.check()
        if link.is_cut:
            await anyio.sleep(DIAL)
            raise ChannelClosed("timed out")
        await anyio.sleep(2 * link.delay(link.chance()))
        listener = self.listeners.get(address)
        if listener is None or link.is_cut:
            raise ChannelClosed("nobody listens")
        near = End(link, self.wire, life, trace=self.trace, near=True)
        far = End(link, self.wire, listener.life, trace=self.trace, near=False)
        near.other, far.other = far, near
        listener.group.start_soon(_serve, listener.handler, far)
        try:
            yield near
        finally:
            await near.close()

    @asynccontextmanager
    async def listen(self, address: str, handler: Handler, life: Life) -> AsyncGenerator[None]:
        """Serve each new channel until the context ends."""
        async with anyio.create_task_group() as group:
            self.listeners[address] = _Listener(group, handler, life)
            try:
                yield
            finally:
                del self.listeners[address]
                group.cancel_scope.cancel()


async def _serve(handler: Handler, end: End) -> None:
    await handler(end)


class EdgeNetwork:
    """What an edge's processes see of the network, in one life."""

    def __init__(self, wan: Wan, link: Link, life: Life) -> None:
        self._wan = wan
        self._link = link
        self._life = life

    def dial(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Connect to the cloud."""
        return self._wan.dial(address, self._link, self._life)

    def listen(self, address: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Serve others."""
        return self._wan.listen(address, handler, self._life)


class CloudNetwork:
    """What control sees of the network, in one life."""

    def __init__(self, wan: Wan, life: Life) -> None:
        self._wan = wan
        self._life = life

    def dial(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Control dials nobody."""
        raise ChannelClosed(f"nothing at {address} can be reached from here")

    def listen(self, address: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Serve nodes."""
        return self._wan.listen(address, handler, self._life)
