"""Exchange: one inference request from admission to settlement.

Every way out settles exactly once; the place's load and the flight's slot end there.
"""

from typing import Final

from littoral.domain.errors import DeadlinePassed, InvalidInput, NoCandidate, UpstreamFailed
from littoral.gateway import admission, guard, health
from littoral.gateway.affinity import LEAST, Affinity
from littoral.gateway.asked import Asked
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import Route
from littoral.gateway.settlement import CANCELLED, FAILED, OK
from littoral.gateway.table import KeyRow
from littoral.gateway.tally import Usage, whole
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.cascading import Cascading
from littoral.gateway.wire.hedging import REFUSED
from littoral.gateway.wire.relay import Events, first_error
from littoral.gateway.wire.remote import MISDIRECTED
from littoral.gateway.wire.upstream import Engine
from littoral.gateway.wire.waiting import FIRST_BYTE_S, INTERNAL
from littoral.gateway.wire.worker import Worker

SILENCE_S: Final = 120.0
_EARLY: Final = refuse(UpstreamFailed, "the engine ended its answer too early")
_BROKE: Final = refuse(UpstreamFailed, "the engine failed in the middle of its answer")
_SILENT: Final = refuse(DeadlinePassed, "the engine fell silent, or the deadline passed")
_LATE: Final = refuse(DeadlinePassed, "the deadline passed before the engine's first byte")


class Exchange(Cascading):
    """The middle of the path: a client on one side, an engine on the other.

    Args:
        worker: What all share.
        client: Who asks.
        rid: The request's id.
        key: Whose it is, verified.
    """

    def __init__(self, worker: Worker, client: Asker, rid: bytes, *, key: KeyRow) -> None:
        self._client = client
        self._worker = worker
        self.rid = rid
        self.key = key
        # not defaults of the classes: to find one through an instance costs ten times as much
        self._ticket = self._events = self._engine = self._charge = self._rival = None
        self.attempt = self._beginning = self._first_us = 0
        self._bounded = self._notes = b""
        self.slot = -1

    def admit(self, route: Route, body: bytes, *, total_s: float) -> Refusal | None:
        """Check, place and send a body; nothing is charged until the last check has passed.

        ``total_s`` is the caller's deadline, seconds from now; ``inf`` for none.
        """
        try:
            read = route.read
            asked = read(body)
            if isinstance(asked, Refusal):
                return asked
            if len(body) >= LEAST:
                self._beginning = Affinity.key(self.key.grant.project, asked.model, body)
            refusal = self.enter(route, asked, size=len(body), total_s=total_s)
            if refusal is None or route.instead is None or refusal.code != NoCandidate.code:
                return refusal
            return self.admit(route.instead, body, total_s=total_s)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self._worker.fault(error)
            return INTERNAL

    def enter(self, route: Route, asked: Asked, *, size: int, total_s: float) -> Refusal | None:
        """Do what ``admit`` does with a body that is already read; ``size`` is its bytes."""
        worker, key = self._worker, self.key
        tables = worker.source.tables
        name = asked.model
        model = tables.models.get(name) if key.may_infer and key.any_model else None
        if model is None:
            found = admission.find(tables, key, name)
            if isinstance(found, Refusal):
                return found
            model = found
        now = worker.time()
        self.asked, self.model, self.route = asked, model, route
        self.deadline = now + total_s
        self._size = size
        if len(model.places) < 2:
            self._beginning = 0
        self._tokens_in = asked.weight or size // 4 or 1
        if key.residence:
            asked.needs |= key.residence
        if key.guard is not None:
            refusal = guard.screen(key.guard, asked, self._tokens_in)
            if refusal is not None:
                return refusal
        adapted = self.adapt(now) if key.adapts else False
        if adapted is False:
            return self.queue_up(now)
        return None if adapted is True else adapted

    def send(self, data: bytes, now: float) -> None:
        """Send the request to its place, on a connection used before if there is one."""
        place, worker = self.place, self._worker
        message = b"%b%d\r\n\r\n%b" % (place.heads[self.route.operation], len(data), data)
        if self.asked.streamed:
            self._begin_stream()
        left_s = self.deadline - now
        self._client.due = now + min(left_s, FIRST_BYTE_S)
        pool = worker.pools.get(place) or worker.pool(place)
        engine = pool.pop(now)
        if engine is None:
            engine = pool.dial(self, message, timeout_s=max(min(1.0, 0.3 * left_s), 0.05))
        else:
            engine.send(self, message)
        self._engine = engine
        if self.key.hedges and len(self.model.places) > 1 and not self.attempt:
            self.plan(now)

    # what engines tell

    def engine_read(self, engine: Engine) -> None:
        """Reply bytes came."""
        try:
            if self._rival is not None:
                self.heard(engine)
            if engine.status == 200 and self._events is not None:
                self._flow(engine, self._events)
            elif engine.complete:
                self._answered(engine)
            elif engine.size > self.route.longest_reply:
                self._drop_engine()
                self._failed("its reply is too long")
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self.fault(error)

    def fault(self, error: Exception) -> None:
        """End it: the engine's fault where it made no sense, else ours."""
        read = self.route.translator or self.place.mends or self._trial
        if isinstance(error, ValueError) and read and self.slot >= 0:
            self._drop_engine()
            self._failed(f"its answer makes no sense: {error}")
            return
        self._worker.fault(error)
        if self.slot < 0:
            self._drop_engine()
            self._client.finished(close=True)
        else:
            self.cut(INTERNAL)

    def engine_lost(self, engine: Engine, reason: str) -> None:
        """The connection ended before the reply did."""
        self._engine = None
        if engine.stale:
            self._engine = engine.pool.dial(self, engine.pending)
            return
        try:
            self._lost(engine, reason)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self.fault(error)

    def _lost(self, engine: Engine, reason: str) -> None:
        events = self._events
        if events is None and engine.status == 200 and whole(data := engine.take()):
            self._whole(data)
        elif events is not None and events.done:
            self._end_stream(events, b"")
        else:
            self._failed(reason, lost=engine)

    def _flow(self, engine: Engine, events: Events) -> None:
        data = engine.take()
        try:
            out = events.take(data) if data else b""
        except ValueError:
            self._drop_engine()
            self._failed("one event of its stream is too long")
            return
        fault = first_error(out) if out and not self._begun else None
        if fault is not None:
            self._drop_engine()
            self._failed(fault)
        elif engine.complete:
            self._return_engine(engine)
            self._end_stream(events, out, counted=engine.counted)
        elif out:
            worker = self._worker
            worker.flights.count(self.slot, events.tokens)
            self._client.due = min(worker.now + SILENCE_S, self.deadline)
            if self._stream is not None:
                out = self._stream.take(out)
            if out:
                self._relay(out)

    def _end_stream(self, events: Events, out: bytes, counted: Usage | None = None) -> None:
        """The engine ended its stream: settle, then let the last bytes go."""
        if not events.done and not events.finished and not events.tokens and not self._begun:
            self._failed("its stream ended without an answer")
            return
        good = events.done or (events.finished and not events.failed)
        usage = events.usage() or counted
        if self._stream is not None:
            self._clock()
            out = self._stream.take(out) + (self._stream.end(usage) if good else b"")
        elif good and not events.done:
            out += self.route.flow.done + b"\n\n"
        head = b"" if self._begun else self._stream_head()
        self.settle(OK if good else FAILED, usage, events.tokens)
        if not good and (self._stream is not None or not events.failed):
            out += self._error_event(_EARLY)
        self._finish(head, out, good=good)
        if good and self.key.adapts:
            self.keep()

    def _answered(self, engine: Engine) -> None:
        status, data = engine.status, engine.take()
        self._return_engine(engine)
        if status == 200 and self._events is None:
            self._whole(data)
        elif status == 200:
            self._failed("it answered a stream with none")
        elif status in REFUSED:
            found = whole(data)
            message = (found.fault if found is not None else "") or "it gave no reason"
            self._refused(refuse(InvalidInput, f"the engine refused the request: {message}"))
        else:
            why = engine.reason or f"it answered with status {status}"
            self._failed(why, busy=status == 429, blame=status != MISDIRECTED)

    def _whole(self, data: bytes) -> None:
        route = self.route
        found = route.weigh(data)
        if found is None or len(data) > route.longest_reply:
            self._failed("its reply is no JSON object")
            return
        trial = self._trial if self.key.policies else None
        said = data if trial is None else self.bare(data)
        if route.translator is not None or self.place.mends:
            said = self._translated(said)
        if trial is not None and self.goes_on(trial, data, said, usage=found.usage):
            return
        cost = self.settle(OK, found.usage, len(data) // 4 if route.writes else 0)
        self._deliver(said, cost if trial is None else cost + trial.spent)
        if self.key.adapts:
            self.keep()

    # other ends

    def client_gone(self) -> None:
        """The client left: the engine stops in this tick, what was used is booked."""
        self._drop_engine()
        events = self._events
        usage = events.usage() if events is not None else None
        self.settle(CANCELLED, usage, events.tokens if events is not None else 0)

    def expire(self) -> None:
        """No byte in time: the engine's fault, unless the caller gave it too little."""
        now = self._worker.time()
        if self.slot >= 0 and now < self.deadline:
            health.bad(self._present(), self.place, now, connect=False)
        self.cut(_SILENT if self._begun else _LATE)

    def cut(self, refusal: Refusal) -> None:
        """End it from our side: out of time, the worker stops, or the key was revoked."""
        self._drop_engine()
        if self._begun:
            self._break(refusal)
        else:
            self._refused(refusal)

    def _failed(
        self, reason: str, *, lost: Engine | None = None, busy: bool = False, blame: bool = True
    ) -> None:
        """The engine failed, is too busy or cut off: try another place, else say so."""
        worker, failed = self._worker, self.place.endpoint.id
        connect = lost is not None and not lost.reached
        worker.counters["engine_failures"] += 1
        self.blame(connect=connect, busy=busy) if blame else self.place.breaker.let_go()
        if self._begun:
            self._break(_BROKE)
            return
        if self._rival is not None and self.hand_over():
            return
        now = worker.time()
        if self.again(now, severed=lost is not None and lost.severed):
            self.start(now)
            return
        self._refused(refuse(UpstreamFailed, f"endpoint {failed!r} failed: {reason}"))
