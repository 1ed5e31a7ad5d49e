"""Socket: a client's connection after its upgrade: a realtime session over WebSocket."""

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from littoral.domain.errors import Overloaded
from littoral.gateway.head import Headers
from littoral.gateway.pace import Pace
from littoral.gateway.realtime import Session, Turn
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.hearing import Hearing
from littoral.gateway.wire.share import CROWDED
from littoral.gateway.wire.worker import Worker

MOST_MESSAGE: Final = 4 * 1024 * 1024
MOST_TURNS: Final = 8
"""Turns of one session that may be transcribed at one time."""
PING_S: Final = 30.0
HIGH: Final = 1024 * 1024
LOW: Final = 256 * 1024
_SPOKEN: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_BUSY: Final = refuse(Overloaded, f"{MOST_TURNS} turns of this session are under way already")


class Socket(asyncio.Protocol):
    """Frames of one session; each turn is an inner request.

    Args:
        worker: What all connections share.
        transport: The connection, whose protocol this becomes.
        session: What is said and heard.
        key: In whose name.
    """

    def __init__(
        self, worker: Worker, transport: asyncio.Transport, session: Session, *, key: KeyRow
    ) -> None:
        self._worker = worker
        self._transport = transport
        self._session = session
        self._frames = ServerProtocol(max_size=MOST_MESSAGE)
        self._parts: list[bytes] = []
        self._turns: set[Hearing] = set()
        self._pinged = False
        self._leaving = False
        self._held = 0
        self._pace = Pace()
        self._waits = self._full = False
        self._spoke = -1
        self.key = key
        self.due = math.inf

    def open(self, url: bytes, headers: Headers, rest: bytes) -> None:
        """Answer the upgrade, and go on with what came behind it.

        Args:
            url: The target.
            headers: As sent.
            rest: Bytes behind the head.
        """
        lines = b"".join(b"%b: %b\r\n" % each for each in headers)
        self._frames.receive_data(b"GET %b HTTP/1.1\r\n%b\r\n" % (url, lines))
        for event in self._frames.events_received():
            if isinstance(event, Request):
                response = self._frames.accept(event)
                if self._worker.offline:
                    response.headers["x-littoral-offline"] = "true"
                self._frames.send_response(response)
        self._transport.set_write_buffer_limits(HIGH, LOW)
        self._transport.set_protocol(self)
        worker = self._worker
        worker.sockets.add(self)
        self._spoke = worker.wheel.add(self)
        self.due = worker.now + PING_S
        if self._frames.handshake_exc is None:
            self.tell(self._session.opened())
            self.data_received(rest)
        else:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        self._pinged = False
        self.due = self._worker.now + PING_S
        self._frames.receive_data(data)
        for frame in self._frames.events_received():
            if isinstance(frame, Frame) and frame.opcode in _SPOKEN:
                if frame.data:
                    self._parts.append(bytes(frame.data))
                if frame.fin:
                    text, self._parts = b"".join(self._parts), []
                    self._pace.hear(len(text), self._worker.time())
                    self._hear(text)
        self._weigh()
        self._flush()
        self._rest()

    def eof_received(self) -> None:
        """The client closes its side: so do we."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: what it waited for stops."""
        del exc
        worker = self._worker
        worker.sockets.discard(self)
        worker.wheel.discard(self, self._spoke)
        for turn in list(self._turns):
            turn.cancel()
        worker.room += self._held
        self._held = 0

    def pause_writing(self) -> None:
        """The client reads slowly: hear it no faster."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It caught up."""
        self._full = False
        self._go_on()

    def expire(self, now: float) -> None:
        """Nothing came for long: ask for a sign of life, once."""
        self.due = now + PING_S
        if self._pinged or self._transport.get_write_buffer_size() > LOW:
            self._transport.abort()
            return
        self._pinged = True
        self._frames.send_ping(b"")
        self._flush()

    def tell(self, event: bytes) -> None:
        """Send one event."""
        if not self._transport.is_closing():
            self._say(event)
            self._flush()

    def cut(self, refusal: Refusal) -> None:
        """End it from our side, and say why."""
        if not self._transport.is_closing():
            self._say(self._session.error(refusal.code, refusal.message))
            self._part(refusal.code)

    def leave(self, refusal: Refusal) -> None:
        """End it once no turn is under way."""
        self._leaving = True
        if not self._turns:
            self.cut(refusal)

    def ended(self, turn: Hearing) -> None:
        """A turn is over."""
        self._turns.discard(turn)
        self._weigh()
        if self._leaving and not self._turns:
            self._part()

    def _weigh(self) -> None:
        """Hold the room that this session's sound takes; end the session where there is none."""
        worker = self._worker
        if self not in worker.sockets:
            return
        held = self._session.waiting + sum(turn.size for turn in self._turns)
        if held - self._held > worker.room:
            self.cut(CROWDED)
            return
        worker.room += self._held - held
        self._held = held

    def _rest(self) -> None:
        """Hear nothing for a while where the client says more than a session may."""
        wait_s = self._pace.wait_s(self._worker.time())
        if wait_s and not self._waits:
            self._waits = True
            self._transport.pause_reading()
            self._worker.loop.call_later(wait_s, self._rested)

    def _rested(self) -> None:
        self._waits = False
        self._go_on()

    def _go_on(self) -> None:
        if not (self._waits or self._full or self._transport.is_closing()):
            self._transport.resume_reading()

    def _part(self, reason: str = "") -> None:
        if self._frames.state is State.OPEN:
            self._frames.send_close(CloseCode.GOING_AWAY, reason)
        self._flush()
        self._transport.close()

    def _hear(self, text: bytes) -> None:
        for heard in self._session.hear(text):
            if isinstance(heard, bytes):
                self._say(heard)
            else:
                self._begin(heard)

    def _begin(self, turn: Turn) -> None:
        if len(self._turns) >= MOST_TURNS:
            self._say(self._session.failed(turn.item, _BUSY))
            return
        hearing = Hearing(self._worker, self, self._session)
        self._turns.add(hearing)
        hearing.ask(turn, key=self.key)

    def _say(self, event: bytes) -> None:
        """Put an event on its way, unless the client has said goodbye already."""
        if self._frames.state is State.OPEN:
            self._frames.send_text(event)

    def _flush(self) -> None:
        data: Sequence[bytes] = self._frames.data_to_send()
        for piece in data:
            if piece:
                self._transport.write(piece)
        if self._frames.close_expected():
            self._transport.close()
