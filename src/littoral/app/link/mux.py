"""Mux: a session as a channel of frames, which outlives the connections that carry it."""

from typing import Final

import anyio

from littoral.app.codec import MAX_FRAME, pack_body, unpack_body
from littoral.app.link.header import (
    ACK,
    acks,
    deflated,
    inflated,
    read_acks,
    unwrap,
    wrap,
)
from littoral.app.link.owed import Owed
from littoral.domain.errors import Damaged, TooLarge
from littoral.domain.ids import NodeId
from littoral.domain.lane import CONTROL, DEFLATED, MOST_CONTROL, Hostile, Incoming, Outgoing
from littoral.domain.link import FINAL, LIVELY, SPREAD_S, LinkFacts
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import ChannelClosed, Clock
from littoral.domain.session import LANES, Frame, Goodbye, Welcome
from littoral.domain.units import Micros, Seconds
from littoral.node.signal import Signal

FLUSH_S: Final = Seconds(1.0)
"""How long what was sent may take to leave once a channel is closed."""
WATCH_S: Final = Seconds(1.0)


class Mux:
    """One session's channel at one end.

    Args:
        clock: Measures the way.
        peer: Which node is at the other end, where it is a node.
    """

    def __init__(self, *, clock: Clock, peer: NodeId | None = None) -> None:
        self._clock = clock
        self._out = Outgoing()
        self._in = Incoming(most=MAX_FRAME)
        self._pipe: Pipe | None = None
        self._carrying: anyio.CancelScope | None = None
        self._turn = anyio.Lock()
        self._send = Signal()
        self._owed = Owed(self._send)
        self._room = Signal()
        self._came = Signal()
        self._over = ""
        self._reason = "closed"
        self._lost_s = LIVELY.lost_s
        self._heard = clock.now()
        self._trouble = ""
        self._resumed = -1
        self._strange = 0
        self._told: tuple[Micros, Seconds] | None = None
        self.peer = peer
        self.spread_s = SPREAD_S

    # ---- the channel

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while its lane is full."""
        number, body = pack_body(frame)
        lane = LANES.get(type(frame), CONTROL)
        if lane == CONTROL and len(body) > MOST_CONTROL:
            raise TooLarge(f"{len(body)} bytes are too many for a frame of the control lane")
        while not self._over and not self._out.has_room(lane):
            await self._room.wait()
        self._check_open()
        small = deflated(body)
        flags = 0 if small is None else DEFLATED
        stream = getattr(frame, "stream", 0)
        self._out.put((number, lane, int(stream)), body if small is None else small, flags=flags)
        self._note(frame)
        self._send.notify()

    async def receive(self) -> Frame:
        """The next frame, of the first lane that has one."""
        while True:
            whole = self._in.pop()
            if whole is None:
                self._check_open()
                await self._came.wait()
                continue
            self._owed.came()
            body = whole.body
            try:
                frame = unpack_body(whole.type, inflated(body) if whole.flags & DEFLATED else body)
            except Damaged as error:
                await self.end("protocol", error.message)
                raise ChannelClosed(error.message) from error
            if frame is None:
                self._strange += 1
                continue
            self._note(frame)
            await self._check_dates(frame)
            return frame

    async def close(self) -> None:
        """End it, once what was sent has left; safe to call twice."""
        with anyio.move_on_after(FLUSH_S, shield=True):
            while not self._over and self._out.waits:
                await self._room.wait()
        await self.end(self._reason, "closed here")

    def link(self) -> LinkFacts:
        """What is known of the way."""
        out = self._out
        return LinkFacts(
            silent_s=Seconds(self._clock.now() - self._heard),
            rtt_s=out.trips.smooth_s,
            least_s=out.trips.least_s,
            p90_s=out.trips.p90_s,
            goodput=out.goodput,
            resumed=max(self._resumed, 0),
            strange=self._strange,
            trouble=self._trouble,
        )

    # ---- what carries it

    @property
    def over(self) -> bool:
        """Whether the session has ended, for whatever reason."""
        return bool(self._over)

    @property
    def told_us(self) -> Micros | None:
        """What time it is by what the welcome said; None before there was one."""
        if self._told is None:
            return None
        server_us, at = self._told
        return Micros(server_us + int((self._clock.now() - at) * 1e6))

    @property
    def seen(self) -> tuple[int, ...]:
        """What came, of each lane."""
        return self._in.seen

    def say_trouble(self, why: str) -> None:
        """Note why there is no connection."""
        self._trouble = why

    async def carry(self, pipe: Pipe, seen: tuple[int, ...]) -> str:
        """Let this connection carry the session until it ends; an older one is given up.

        Args:
            pipe: The connection.
            seen: What the other end has seen of each lane.

        Returns:
            The reason of its end; ``lost`` where nobody gave one.
        """
        if self._carrying is not None:
            self._carrying.cancel()
        async with self._turn:
            if self._over:
                return self._over
            try:
                self._out.rewind(seen)
            except ValueError as error:
                await self.end("protocol", str(error))
                await pipe.close("protocol", str(error))
                return "protocol"
            return await self._carry(pipe)

    async def _carry(self, pipe: Pipe) -> str:
        ended = "lost"
        self._pipe, self._trouble, self._heard = pipe, "", self._clock.now()
        self._resumed += 1
        self._owed.say()
        try:
            async with anyio.create_task_group() as group:
                self._carrying = group.cancel_scope
                group.start_soon(self._write, pipe)
                group.start_soon(self._watch, pipe)
                group.start_soon(self._owed.run)
                try:
                    await self._read(pipe)
                except PipeClosed as error:
                    ended, self._trouble = error.reason, str(error)
                except (Damaged, Hostile, ValueError) as error:
                    ended, self._trouble = "protocol", str(error)
                    await pipe.close("protocol", self._trouble)
                group.cancel_scope.cancel()
        finally:
            self._pipe = self._carrying = None
        if ended in FINAL:
            await self.end(ended, self._trouble)
        return ended

    async def end(self, reason: str, message: str = "") -> None:
        """The session is over; what came before can still be received."""
        if not self._over:
            self._over = reason
            self._trouble = message or reason
        for signal in (self._send, self._room, self._came):
            signal.notify()
        if self._pipe is not None:
            with anyio.move_on_after(FLUSH_S, shield=True):
                await self._pipe.close(reason, message)

    # ---- tasks of one connection

    async def _read(self, pipe: Pipe) -> None:
        while True:
            parcel = unwrap(await pipe.receive())
            now = self._heard = self._clock.now()
            if parcel.type == ACK:
                for each in read_acks(parcel.body):
                    self._out.acked(each.lane, each.seq, held_s=each.held_s, now=now)
                self._room.notify()
                if self._out.waits:
                    self._send.notify()
                continue
            if not parcel.seq:
                self._strange += 1  # a kind of word about the link that a newer build may say
                continue
            self._in.take(parcel, now)
            self._came.notify()
            self._owed.came()

    async def _write(self, pipe: Pipe) -> None:
        try:
            while True:
                if self._owed.due:
                    self._owed.said()
                    await pipe.send(acks(self._in.acknowledged(self._clock.now())))
                parcel = self._out.next(self._clock.now())
                if parcel is not None:
                    await pipe.send(wrap(parcel))
                    self._room.notify()
                else:
                    await self._send.wait()
        except PipeClosed:
            with anyio.CancelScope(shield=True):
                await pipe.close("lost")

    async def _watch(self, pipe: Pipe) -> None:
        """Give up a connection on which nothing is heard."""
        while self._clock.now() - self._heard < self._lost_s:
            left = self._lost_s - (self._clock.now() - self._heard)
            await anyio.sleep(max(WATCH_S, left))
        self._trouble = f"nothing was heard for {self._lost_s:.0f} s"
        await pipe.close("lost", self._trouble)

    # ---- small things

    def _check_open(self) -> None:
        if self._over:
            raise PipeClosed(self._over, self._trouble)

    async def _check_dates(self, frame: Frame) -> None:
        """Compare the dates of a certificate that nobody compared with what control tells."""
        dates = None if self._pipe is None else self._pipe.unchecked_us
        if dates is None or not isinstance(frame, Welcome):
            return
        if not dates[0] <= frame.server_us <= dates[1]:
            why = "control's certificate does not hold at the time that control tells"
            await self.end("certificate", why)
            raise ChannelClosed(why)

    def _note(self, frame: Frame) -> None:
        """Goodbyes name the reason of the close, and a welcome says how long silence may last."""
        if isinstance(frame, Goodbye):
            self._reason = frame.code
        elif isinstance(frame, Welcome):
            self._lost_s, self.spread_s = frame.lost_s, frame.spread_s
            self._told = frame.server_us, self._clock.now()
