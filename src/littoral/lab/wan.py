"""WAN: links between hosts, late, cut and half-open, each an ordered pipe of messages as TCP gives.

What is sent into a cut link waits, as retransmission makes it; after ``GIVE_UP`` the sender's end
breaks and the other end knows nothing of it. What was on its way when a connection ended may still
arrive, beside the messages of the next one. Above it runs the product's own link: sessions outlive
their connections. A twisted link doubles, swaps, drops or bends messages, as no TLS would.
"""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import anyio
from anyio import lowlevel
from anyio.abc import TaskGroup

from littoral.domain.link import Peer
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import Chance, ChannelClosed
from littoral.domain.units import Micros, Seconds
from littoral.lab.life import Life
from littoral.lab.trace import Trace
from littoral.node.signal import Signal
from littoral.testing.chance import SeededChance
from littoral.testing.loop import later

GIVE_UP = Seconds(20.0)
RESET_WITHIN = Seconds(15.0)
DIAL = Seconds(10.0)
WINDOW = 64
"""Frames on their way, or not yet read, before a sender waits."""
Handler = Callable[[Pipe], Awaitable[None]]
Twist: TypeAlias = Literal["", "twice", "swap", "lose", "bend"]
"""What may happen to a message: nothing, it comes twice, late, not at all, or changed."""


class Link:
    """The way from one edge to the cloud.

    Args:
        name: Of the edge.
        chance: Draws delays.
        now: Virtual time.
        delay_s: One way, at least; as much again comes by chance.
        bends: Is called when a message is changed.
    """

    def __init__(
        self,
        name: str,
        *,
        chance: Chance,
        now: Callable[[], Seconds],
        delay_s: Seconds,
        bends: Callable[[], None],
    ) -> None:
        self.name = name
        self.bends = bends
        self._cuts: set[str] = set()
        self.now = now
        self._chance = chance
        self._delay = delay_s
        self._ends: list[End] = []
        self.twists: deque[Twist] = deque()
        """What happens to the next messages."""

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
    """One end of a connection; a ``Pipe``.

    Args:
        link: What carries it.
        life: Of the process that holds it.
        trace: Is told what arrives.
        peer: Who the other end is; None at the edge's end.

    Attributes:
        other: The other end.
        chance: Of its own.
        inbox: What has arrived and was not read.
        near: Whether it is the edge's.
        ended: Why the other end has closed, if it has.
    """

    other: "End"

    def __init__(self, link: Link, life: Life, *, trace: Trace, peer: Peer | None) -> None:
        self._link = link
        self.chance = link.chance()
        self._life = life
        self._trace = trace
        self.peer = peer
        self.unchecked_us: tuple[Micros, Micros] | None = None
        self.near = peer is None
        self._label = f"{link.name} hears" if self.near else f"{link.name} says"
        self.inbox: deque[bytes] = deque()
        self._held: deque[bytes | PipeClosed] = deque()
        self._under_way: deque[bytes | PipeClosed] = deque()
        self._swapped: bytes | None = None
        self._last = 0.0
        self._broken = ""
        self.ended: PipeClosed | None = None
        self._closed = False
        self._came, self._room = Signal(), Signal()
        link.join(self)

    @property
    def alive(self) -> bool:
        """Whether anything can still come of it."""
        done = self._closed and not self._held and not self._under_way
        return not self._broken and not done

    # what its holder does

    async def send(self, message: bytes) -> None:
        """Send one message; waits while too much is on its way."""
        while not self.gone and len(self._under_way) + len(self.other.inbox) >= WINDOW:
            await self._room.wait()
        if self.gone:
            raise PipeClosed("lost", self._broken or "closed")
        self._life.check()
        for each in self._twisted(message):
            self._carry(each)

    async def receive(self) -> bytes:
        """The next message."""
        while not self.inbox:
            if self.ended is not None:
                raise self.ended
            if self.gone:
                raise PipeClosed("lost", self._broken or "closed")
            await self._came.wait()
        data = self.inbox.popleft()
        self.other.has_room()
        self._life.check()
        self._trace.note(self._label, data)
        return data

    async def close(self, reason: str, message: str = "") -> None:
        """End it; what was sent still arrives."""
        if not self._closed:
            self._closed = True
            if not self._broken:
                self._carry(PipeClosed(reason, message))
            self.notify()
        await lowlevel.cancel_shielded_checkpoint()

    def _twisted(self, message: bytes) -> list[bytes]:
        """What becomes of a message on a link that is not to be trusted."""
        late, self._swapped = self._swapped, None
        twist = self._link.twists.popleft() if self._link.twists else ""
        if late is not None:
            return [message, late]
        if twist == "twice":
            return [message, message]
        if twist == "swap":
            self._swapped = message
            return []
        if twist == "lose":
            return []
        if twist == "bend":
            self._link.bends()
            at = int(self.chance.random() * len(message))
            return [message[:at] + bytes([message[at] ^ 0x10]) + message[at + 1 :]]
        return [message]

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

    def _carry(self, data: bytes | PipeClosed) -> None:
        if self._link.is_cut:
            self._hold(data)
            return
        now = self._link.now()
        self._last = max(self._last, now + self._link.delay(self.chance))
        self._under_way.append(data)  # timers of one moment have no order: this has
        later(self._last - now, self._arrive)

    def _hold(self, data: bytes | PipeClosed) -> None:
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
        elif isinstance(data, PipeClosed):
            self.other.ended = data
            self.other.notify()
        else:
            self.other.inbox.append(data)
            self.other.notify()

    def has_room(self) -> None:
        """The other end has read something."""
        self._room.notify()

    def notify(self) -> None:
        """Wake whoever waits at this end."""
        self._came.notify()
        self._room.notify()


@dataclass(frozen=True, slots=True)
class _Listener:
    group: TaskGroup
    handler: Handler
    life: Life


class Wan:
    """Every listener of the fleet, by address.

    Args:
        trace: Is told what arrives.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.listeners: dict[str, _Listener] = {}

    @asynccontextmanager
    async def dial(
        self, address: str, link: Link, *, life: Life, peer: Peer
    ) -> AsyncGenerator[Pipe]:
        """Connect over a link, and show who one is."""
        life.check()
        if link.is_cut:
            await anyio.sleep(DIAL)
            raise ChannelClosed("timed out")
        await anyio.sleep(2 * link.delay(link.chance()))
        listener = self.listeners.get(address)
        if listener is None or link.is_cut:
            raise ChannelClosed("nobody listens")
        near = End(link, life, trace=self.trace, peer=None)
        far = End(link, listener.life, trace=self.trace, peer=peer)
        near.other, far.other = far, near
        listener.group.start_soon(_serve, listener.handler, far)
        try:
            yield near
        finally:
            await near.close("closed")

    @asynccontextmanager
    async def listen(self, address: str, handler: Handler, life: Life) -> AsyncGenerator[None]:
        """Serve each new connection until the context ends."""
        async with anyio.create_task_group() as group:
            self.listeners[address] = _Listener(group, handler, life)
            try:
                yield
            finally:
                del self.listeners[address]
                group.cancel_scope.cancel()


async def _serve(handler: Handler, end: End) -> None:
    try:
        await handler(end)
    finally:
        await end.close("lost")
