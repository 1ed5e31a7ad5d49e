"""Waiting: how a request gets its place: at once, or from the line before the model's places."""

from abc import abstractmethod
from typing import Final

from littoral.domain.errors import Loading, Overloaded
from littoral.gateway import health
from littoral.gateway.choice import FULL, expect
from littoral.gateway.head import Terms
from littoral.gateway.lane import Claim, Ticket
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.settlement import FAILED
from littoral.gateway.table import ModelRow
from littoral.gateway.wire.answer import Answer
from littoral.gateway.wire.remote import CallTerms
from littoral.gateway.wire.upstream import Engine

FIRST_BYTE_S: Final = 600.0
LONGEST_S: Final = 600.0
"""Longest time after which we advise to try again, seconds."""
MAX_RETRIES: Final = 2
MOST_REPEATED: Final = 1024 * 1024
"""Longest request that is sent on after another node failed, bytes."""
UNRECORDED: Final = refuse(Overloaded, "too many requests wait to be recorded", retry_after_s=1.0)
INTERNAL: Final = Refusal(500, "internal", "something failed here; the request's id names it")


class Waiting(Answer):
    """The way from admission to a place."""

    terms = Terms()
    """What the request asks for; its project may allow less."""

    @abstractmethod
    def start(self, now: float) -> None:
        """Send the request to its place."""

    def queue_up(self, now: float) -> Refusal | None:
        """Go at once where a slot is free and nobody waits, else wait for one."""
        if not self.model.queue.count:
            refusal = self._go(now)
            if refusal is not FULL:
                return refusal
            audit = self._worker.audit
            if audit is not None and audit.give_way(self.model):
                refusal = self._go(now)
                if refusal is not FULL:
                    return refusal
        return self._wait(now)

    def _go(self, now: float) -> Refusal | None:
        """Take a place and a slot of the flight table, and start; ``FULL`` where none is free."""
        worker, gates = self._worker, self.gates()
        refusal = self.choose(now, 0)
        if refusal is None and self.place.throttle is not None:
            refusal = self._spare(now)
        if refusal is not None:
            return refusal if refusal is FULL or not gates else self.over_limit(gates) or refusal
        refusal = self.unrecorded(gates) if worker.recording.full else None
        slot = worker.flights.take() if refusal is None else -1
        if slot < 0:
            return refusal or UNRECORDED
        refusal = self.reserve(gates, slot) if gates else None
        if refusal is not None:
            worker.flights.put_back(slot)
            return refusal
        self.model.retries.earn()
        try:
            self.open(slot)
            self.start(now)
        except BaseException:
            self.settle(FAILED, None, 0)
            raise
        return None

    def _spare(self, now: float) -> Refusal | None:
        """Do not send an API what it would refuse: go elsewhere, or nowhere."""
        throttle = self.place.throttle
        if throttle is None or not throttle.refuses(now):
            return None
        self._worker.counters["throttled"] += 1
        spared = self.place.endpoint.id
        if self.choose(now, 1 << self._verdict.position) is None:
            return None
        message = f"endpoint {spared!r} refuses most of what it is sent, and there is no other"
        return refuse(Overloaded, message, retry_after_s=10.0)

    def _wait(self, now: float) -> Refusal | None:
        model, key, worker, gates = self.model, self.key, self._worker, self.gates()
        refusal = self.over_limit(gates) if gates else None
        if refusal is not None:
            return refusal
        tokens_out, length = self.expected()
        verdict = expect(
            model,
            needs=self.asked.needs,
            tokens_in=self.asked.longest or self._tokens_in,
            tokens_out=tokens_out,
            length=length,
            total_s=self.deadline - now,
            wanted=key.wanted(model.name) if key.policies else None,
        )
        if isinstance(verdict, Refusal):
            return self._advised(verdict)
        due = min(self.deadline, now + FIRST_BYTE_S + verdict.total_p50)
        level = max(self.terms.level, key.level)
        claim = Claim(key.grant.project, level, key.weight, verdict.total_p50, due, self._size)
        line = model.traffic.line
        found, gone = line.join(self, claim, slots=model.traffic.slots, now=now)
        for ticket in gone:
            ticket.item.shed(model.queue.wait_s(ticket.claim, model.traffic.slots))
        if not isinstance(found, Ticket):
            worker.counters["shed"] += 1
            return self._overloaded(found)
        worker.counters["queued"] += 1
        self._ticket = found
        self._client.due = min(self.deadline, now + FIRST_BYTE_S)
        return None

    def resume(self, now: float) -> bool:
        """Go, now that it is one's turn; False where no place has room."""
        worker = self._worker
        model = self.found(self.model.name)
        if model is None:
            gone = f"{self.model.name!r} is no longer served"
            self.settle_turn(0.0)
            self._refused(refuse(Loading, gone, retry_after_s=5.0))
            return True
        self.model = model
        self.key = worker.source.tables.keys.get(self.key.grant.id, self.key)
        try:
            refusal = self._go(now)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            worker.fault(error)
            refusal = INTERNAL
        if refusal is FULL:
            return False
        if refusal is not None:
            self.settle_turn(0.0)
            self._refused(refusal)
        elif self._ticket is not None:
            waited_ms = int((now - self._ticket.since) * 1000)
            self._notes += b"x-littoral-queued-ms: %d\r\n" % waited_ms
        return True

    def found(self, name: str) -> ModelRow | None:
        """The row that a name has now."""
        return self._worker.source.tables.models.get(name)

    def shed(self, wait_s: float) -> None:
        """Be sent away."""
        self._worker.counters["shed"] += 1
        self._refused(self._overloaded(wait_s))

    def leave(self) -> None:
        """Wait no longer, if one does."""
        ticket = self._ticket
        if ticket is not None and ticket.waiting:
            self.model.queue.leave(ticket)

    def terms_of_call(self) -> CallTerms:
        """For whom it is, where another node is to answer."""
        grant, left_s = self.key.grant, self.deadline - self._worker.time()
        level = max(self.terms.level, self.key.level)
        return CallTerms(self.rid, self.attempt, grant, level, left_s)

    def blame(self, *, connect: bool, busy: bool) -> None:
        """Say that its place failed, could not be reached, or is too busy."""
        now = self._worker.time()
        if busy:
            health.busy(self.place, now)
        else:
            health.bad(self._present(), self.place, now, connect=connect)

    def again(self, now: float, *, severed: bool) -> bool:
        """Move to another place for one more try; False where there is no place or no try left.

        What is long does not cross the network twice. What a cut link took is free of the budget,
        which spares engines that fail: of many that were under way, each must go on.
        """
        long = self._size > MOST_REPEATED and self.place.via is not None
        spare = severed or self.model.retries.left >= 1.0
        if self.attempt >= MAX_RETRIES or long or not spare or not self.move(now):
            return False
        if not severed:
            self.model.retries.spend()
        self._worker.counters["retries"] += 1
        return True

    def _return_engine(self, engine: Engine) -> None:
        self._engine = None
        if engine.keep:
            engine.pool.push(engine, self._worker.now)
        else:
            engine.abort()

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.abort()
        self.leave()

    def _overloaded(self, wait_s: float) -> Refusal:
        name = self.model.name
        message = f"every slot of {name!r} is taken, and waiting would take about {wait_s:.1f} s"
        return refuse(Overloaded, message, retry_after_s=min(max(wait_s, 0.1), LONGEST_S))
