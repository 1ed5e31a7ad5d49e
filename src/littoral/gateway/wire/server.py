"""Server: a client's connection. Messages one at a time, answers out in order."""

import asyncio
from typing import Final, cast

from littoral.gateway import desk, reply
from littoral.gateway.admission import KeyMemo
from littoral.gateway.dialect.openai import OPENAI
from littoral.gateway.head import Headers, Known
from littoral.gateway.refusal import Refusal, malformed, patience
from littoral.gateway.route import RESPONSES, ROUTES
from littoral.gateway.table import KeyRow
from littoral.gateway.voice import Voice
from littoral.gateway.wire import errand, voting
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.ask import Ask, ask_of, barred
from littoral.gateway.wire.deferring import Deferring
from littoral.gateway.wire.exchange import Exchange
from littoral.gateway.wire.handover import hand_over
from littoral.gateway.wire.intake import Intake, Message, Sink
from littoral.gateway.wire.panel import Panel
from littoral.gateway.wire.proxy import Passage
from littoral.gateway.wire.respond import Respond
from littoral.gateway.wire.share import Share
from littoral.gateway.wire.worker import Worker

HEAD_S: Final = 10.0
IDLE_S: Final = 75.0
SLOW_READER_S: Final = 30.0
MAX_PENDING: Final = 64 * 1024
HIGH: Final = 1024 * 1024
LOW: Final = 256 * 1024
"""Marks of the write buffer: above the high one the engine is read no further."""

_HEALTH: Final = frozenset({b"/healthz", b"/readyz"})
_SLOW: Final = malformed("the request did not arrive in time", status=408, code="timeout")


class Paced(asyncio.Protocol):
    """A connection's two directions: what is written, and how fast either may go.

    Args:
        worker: What all connections share.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._transport = cast("asyncio.Transport", None)
        self.answering: Exchange | Panel | errand.Errand | Deferring | Passage | None = None
        self.due = 0.0

    @property
    def unfinished(self) -> bool:
        """Whether an answer is under way, or has not left in full."""
        return self.answering is not None or self._transport.get_write_buffer_size() > 0

    def turn_to(self, who: Deferring | None) -> None:
        """Let this one answer; nobody, for now."""
        self.answering = who

    def write(self, data: bytes) -> None:
        """Send, with what else this turn of the loop sends."""
        self._worker.batch.write(self._transport, data)

    def _close(self) -> None:
        self._worker.batch.flush()
        self._transport.close()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self.due = self._worker.now + SLOW_READER_S
        if self.answering is not None:
            self.answering.throttle(stop=True)

    def resume_writing(self) -> None:
        """It caught up."""
        self.due = self._worker.now + IDLE_S
        if self.answering is not None:
            self.answering.throttle(stop=False)

    def hold(self, *, stop: bool) -> None:
        """Read the client no faster than its body can go on."""
        transport = self._transport
        if not transport.is_closing():
            (transport.pause_reading if stop else transport.resume_reading)()


class Client(Paced):
    """One connection.

    While a message is answered, further bytes wait unparsed; of messages that came in one read,
    the later ones wait parsed. Half-closed clients are not served: the connection closes.

    Args:
        worker: What all connections share.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._intake = Intake(self._open_passage, self._proceed, self._make_room)
        self._pending = b""
        self._keep = True
        self._busy = False
        self._voice: Voice = OPENAI
        self._memo = KeyMemo()
        self._ask: Ask | None = None
        self._spoke = -1
        self._share = Share(worker)

    @property
    def closing(self) -> bool:
        """Whether the connection ends after the present answer."""
        return not self._keep or self._worker.draining

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        worker = self._worker
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH, LOW)
        worker.clients.add(self)
        self._spoke = worker.wheel.add(self)
        self.due = worker.now + HEAD_S

    def data_received(self, data: bytes) -> None:
        """Parse, unless an answer is under way."""
        intake = self._intake
        if intake.deaf:
            return
        if self._busy and (intake.sink is None or intake.sink is not self.answering):
            self._pending += data
            if len(self._pending) > MAX_PENDING:
                self._transport.pause_reading()
            return
        ask, in_head = self._ask, not intake.head_done
        if ask is not None and not self._busy and ask.number == self._worker.source.tables.number:
            body = intake.recall(data)
            if body is not None:
                self._keep = ask.keep
                self._infer(ask, body)
                return
        waiting = not intake.fed
        intake.feed(data)
        ready = intake.ready
        if ready and not self._busy:
            only = ready[0] if len(ready) == 1 and waiting and intake.sink is None else None
            self._ask = None
            self._turn()
            if only is None or self._ask is None or not intake.remember(data, only):
                self._ask = None
        elif not self._busy and (waiting or (in_head and intake.head_done)):
            self.due = self._worker.now + (intake.patience_s if intake.head_done else HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is what it asked for."""
        del exc
        worker = self._worker
        self.hand_over()
        answering, self.answering = self.answering, None
        if answering is not None:
            worker.counters["cancelled"] += 1
            answering.client_gone()

    def expire(self, now: float) -> None:
        """The time for what was awaited is over."""
        intake = self._intake
        if self._transport.get_write_buffer_size() > LOW:
            self._transport.abort()
        elif self.answering is not None:
            self.due = now + IDLE_S
            self.answering.expire()
        elif intake.fed and not intake.deaf:
            intake.give_up(_SLOW)
            self._turn()
        else:
            self._close()

    def cut(self, refusal: Refusal) -> None:
        """End what is under way from our side; close when nothing is."""
        if self.answering is not None:
            self.answering.cut(refusal)
        else:
            self._close()

    # messages, one at a time

    def _turn(self) -> None:
        """Answer the messages that are ready, as far as that needs no waiting."""
        ready = self._intake.ready
        while ready and not self._busy:
            self._answer_to(ready.popleft())

    def _answer_to(self, message: Message) -> None:
        self._keep = message.keep
        self._busy = True
        self._share.answering = message.held
        self._voice = OPENAI
        if message.refusal is not None:
            self._voice = desk.voice_of(message.url, message.known)
            self._worker.counters["malformed"] += 1
            self.refuse(message.refusal, self._worker.request_id())
        elif isinstance(message.sink, Passage):
            self.answering = message.sink
            message.sink.start()
        elif message.upgrade is not None:
            key = self._key_of(message.known)
            if isinstance(key, Refusal):
                self.refuse(key, self._worker.request_id())
            else:
                hand_over(self._worker, self, message, key=key)
        else:
            route = ROUTES.get(message.url) or ROUTES.get(message.url.partition(b"?")[0])
            if route is None:
                self._inform(message)
            else:
                self._voice = route.voice
                key, number = self._key_of(message.known), self._worker.source.tables.number
                ask = ask_of(route, message, key, number=number)
                if isinstance(ask, Refusal):
                    self.refuse(ask, self._worker.request_id())
                else:
                    self._ask = ask
                    self._infer(ask, message.body)

    def _infer(self, ask: Ask, body: bytes) -> None:
        self._busy = True
        self._voice = ask.route.voice
        refusal = barred(self._worker, ask)
        if refusal is not None:
            self.refuse(refusal, self._worker.request_id())
        elif ask.terms.defer_s:
            Deferring(self._worker, self, ask, body=body).begin()
        else:
            self.enter(ask, body, self)

    def enter(self, ask: Ask, body: bytes, asker: Asker) -> None:
        """Give a request to an exchange that answers ``asker``, which is this or stands before."""
        worker, route = self._worker, ask.route
        kind = Respond if route is RESPONSES else Exchange if route.panel is None else Panel
        exchange = kind(worker, asker, worker.request_id(), key=ask.key)
        exchange.terms = ask.terms
        self.answering = exchange
        refusal = exchange.admit(route, body, total_s=ask.terms.total_s)
        if refusal is None:
            return
        self.answering, guess = None, exchange.guess(refusal)
        if guess is None:
            asker.refuse(refusal, exchange.rid)
        else:
            self._answer(200, reply.named(exchange.rid) + reply.ESTIMATED, guess)

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Let go of the connection; returns it, and what was read of it and not used."""
        worker = self._worker
        self._intake.deaf = True
        self._share.leave()
        worker.clients.discard(self)
        worker.wheel.discard(self, self._spoke)
        return self._transport, self._intake.rest

    def _key_of(self, known: Known) -> KeyRow | Refusal:
        worker = self._worker
        return self._memo.row_of(worker.source.tables, known, now_us=worker.wall_us)

    def _inform(self, message: Message) -> None:
        """Health, models and stored responses; everything else is not here."""
        worker, url = self._worker, message.url.partition(b"?")[0]
        if errand.kept_path(url):
            key = self._key_of(message.known)
            begun = errand.begin(worker, self, key, method=message.method, url=message.url)
            self.answering = begun if self._busy else None
            return
        if url in _HEALTH:
            good = url == b"/healthz" or worker.ready
            self._answer(200 if good else 503, b"", b"")
            return
        self._voice = desk.voice_of(url, message.known)
        body = desk.told_to_all(url, message.method)
        if body is None:
            key = self._key_of(message.known) if desk.serves(url) else desk.nothing(url)
            body = key if isinstance(key, Refusal) else voting.show(worker, key, message)
        rid = worker.request_id()
        if isinstance(body, Refusal):
            self.refuse(body, rid)
        else:
            self._answer(200, reply.named(rid), body)

    # answers

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """Answer with an error, as the route's dialect says it."""
        if refusal.close:
            self._keep = False
        self._worker.counters[refusal.code] += 1
        fields = reply.named(rid) + patience(refusal)
        self._answer(refusal.status, fields, self._voice.error_body(refusal, rid.decode()))

    def _answer(self, status: int, fields: bytes, body: bytes) -> None:
        close = self.closing
        start = reply.head(status, self._worker.date, fields, length=len(body), close=close)
        self.write(start + body)
        self.finished(close=close)

    def finished(self, *, close: bool) -> None:
        """The answer is out: go on with what waits, or close."""
        passing = self._intake.sink is not None and self._intake.sink is self.answering
        self.answering = None
        if self._share.answering:
            self._share.answered()
        if close or passing:
            self._intake.deaf = True
            self._close()
            return
        self._busy = False
        self.due = self._worker.now + IDLE_S
        if self._pending or self._intake.ready:
            self._worker.loop.call_soon(self._resume)

    def _resume(self) -> None:
        """Go on with bytes and messages that waited."""
        if self._busy or self._transport.is_closing():
            return
        if self._intake.ready:
            self._turn()
            self._ask = None
            return
        data, self._pending = self._pending, b""
        self._transport.resume_reading()
        if data:
            self.data_received(data)

    def _proceed(self) -> None:
        if not self._busy:
            self.write(reply.CONTINUE)

    def _open_passage(self, line: tuple[bytes, bytes], headers: Headers, length: int) -> Sink:
        passage = Passage(self._worker, self, self._worker.request_id())
        passage.ask(line, headers, length=length)
        return passage

    def _make_room(self, known: Known, size: int) -> Refusal | None:
        key = self._key_of(known)
        return key._replace(close=True) if isinstance(key, Refusal) else self._share.take(size)
