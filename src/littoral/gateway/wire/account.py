"""Account: the books of one request: where it is placed, what it used, which slot says so."""

from functools import lru_cache
from typing import Final

from littoral.domain.decided import decided
from littoral.domain.flight import CHARGED, ESTIMATED, STREAMED, capped
from littoral.gateway import health, reply
from littoral.gateway.asked import Asked
from littoral.gateway.lane import Ticket
from littoral.gateway.settlement import OK
from littoral.gateway.table import ModelRow
from littoral.gateway.tally import Usage
from littoral.gateway.traffic import Waiter
from littoral.gateway.wire.placed import Placed

_U32: Final = 0xFFFF_FFFF
MEDIA: Final = b"application/json"
_decided: Final = lru_cache(maxsize=1024)(decided)
MOST_S: Final = 4294.0
"""Longest prediction that a slot can hold in microseconds, seconds."""


class Account(Placed):
    """Made at admission, dropped when settled; scratch of the warm path, hence no record.

    Whoever makes one sets what has no value here.
    """

    body: bytes
    attempt: int
    kind = 0
    """Further flags of its flight."""
    _ticket: Ticket[Waiter] | None
    _notes: bytes
    """Further lines of the answer's head."""
    used = (0, 0, 0)
    """Tokens in, of these cached, and out, once settled."""
    _at_us = 0
    _first_us: int
    _predicted_us = 0

    def open(self, slot: int) -> None:
        """Take a slot and the place: from here on ``settle`` must come, once."""
        worker = self._worker
        self.slot = slot
        self._at_us = int(self._started * 1e6) + worker.offset_us
        worker.in_flight += 1
        self._enter()
        if self._charge is not None:
            worker.quotas.seal()
        if worker.hit is not None:
            worker.hit("request.admitted")

    def move(self, now: float) -> bool:
        """Try to go to another place; False where none would have it."""
        old = self.place
        if self.choose(now, self._skip | 1 << self._verdict.position) is not None:
            return False
        if not self._fits(self.place):
            self.place = old
            return False
        self.attempt += 1
        old.part(self.slot)
        if self.model.queue.count:
            self._worker.pump.wake(self.model.traffic, now)
        self._enter()
        return True

    def _enter(self) -> None:
        place = self.place
        place.enter()
        if place.trial:
            health.tried(self._present(), place)
        if self._beginning:
            self._worker.memory.affinity.served(self._beginning, place.endpoint.id)
        verdict = self._verdict
        p50, p90 = verdict[3], verdict[4]
        if self.key.policies:
            self.note(p50, p90)
        self._predicted_us = predicted_us = int(p50 * 1e6) if p50 < MOST_S else _U32
        flags = self._flags() | ESTIMATED
        if self._charge is not None:
            self._worker.flights.charge(self.slot, self._charge)
        header = (
            flags,
            OK,
            self.attempt,
            0 if self.is_free else self._tokens_in,
            0,
            0,
            self._at_us,
            0,
            0,
            predicted_us,
            int(p90 * 1e6) if p90 < MOST_S else _U32,
            place.price_in,
            place.price_out,
        )
        names = self.rid + self.key.sorts[self.model.name].names + place.names
        number = _decided(verdict[1], verdict[6])
        self._worker.flights.open(self.slot, header, names, decided=number)

    def settle(self, status: int, usage: Usage | None, counted: int) -> float:
        """Write the final counts and give back the place; the second call does nothing.

        Args:
            status: Of ``settlement``.
            usage: What the engine said, if it did.
            counted: Tokens out that we counted, where it did not.

        Returns:
            The cost.
        """
        slot, worker, place = self.slot, self._worker, self.place
        if slot < 0:
            return 0.0
        self.slot = -1
        flags = self._flags()
        if usage is None:
            flags |= ESTIMATED
            usage = Usage(0 if self.is_free else self._tokens_in, 0, counted)
        elapsed = int((worker.time() - self._started) * 1e6)
        total_us = min(_U32, elapsed)
        first_us = self._first_us = self._first_us or total_us
        self.used = used = (usage.tokens_in, usage.cached, usage.tokens_out)
        counts = (flags, status, self.attempt, *used, self._at_us, first_us, total_us)
        cost = place.cost(usage.tokens_in, usage.tokens_out) if place.priced else 0.0
        if self._charge is None:
            worker.flights.settle(slot, counts)
        else:
            self._return(self._charge, slot, counts, cost=cost)
        place.part(slot)
        worker.in_flight -= 1
        place.breaker.calls += status == OK
        if place.watched:
            self._judge(status)
        if self.model.queue.count or self._ticket is not None:
            self._make_room(elapsed)
        if worker.hit is not None:
            worker.hit("request.settled")
        if not worker.reporting:
            worker.settled()
        return cost

    def _flags(self) -> int:
        streamed = STREAMED if self.asked.streamed else 0
        return self.kind | streamed | capped(self.asked.cap) | (CHARGED if self._charge else 0)

    def _judge(self, status: int) -> None:
        """Say how it went, where somebody wants to know; failures were told before."""
        if status == OK:
            health.good(self._present(), self.place, self._worker.time())
        elif self.place.breaker.probing:
            self.place.breaker.let_go()

    def _present(self) -> ModelRow:
        """The model's row as it is now: places come and go while a request is under way."""
        return self._worker.source.tables.models.get(self.model.name, self.model)

    def _make_room(self, elapsed_us: int) -> None:
        """Let the next one go; say what this one took, where it had waited."""
        worker, traffic = self._worker, self.model.traffic
        self.settle_turn(elapsed_us / 1e6)
        if traffic.queue.count:
            worker.pump.wake(traffic, worker.time())

    def settle_turn(self, actual_s: float) -> None:
        """Say how long it held its slot, seconds, where it had waited; once."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self.model.traffic.queue.settle(ticket, actual_s=actual_s)

    def forgive(self) -> None:
        """Nothing was answered: the input is not billed either."""
        self._tokens_in = 0

    def head(self, cost: float | None, *, length: int | None, close: bool) -> bytes:
        """Build the answer's head; the first content leaves with it.

        Args:
            cost: Settled; None for the predicted one.
            length: Of the body; None for a stream.
            close: Whether the connection ends after it.
        """
        if not self._first_us:
            self._first_us = self._elapsed_us()
        verdict, rid = self._verdict, self.rid
        rest = self._bounded + self._notes if self._notes else self._bounded
        if self.asked.ignored:
            rest += _ignored(self.asked)
        if close:
            rest += reply.CLOSE
        story = (
            self._worker.date,
            rid,
            rid,
            self.place.route,
            verdict[1].encode(),
            self._predicted_us // 1000,
            verdict[5] if cost is None else cost,
            rest,
        )
        if length is None:
            return reply.STREAMED % (*story, self.route.voice.streams)
        return reply.WHOLE % (*story, self.asked.media or MEDIA, length)

    def _clock(self) -> None:
        """Note for a translator when the request came, and how long the answer has taken."""
        asked = self.asked
        asked.began_s = self._at_us // 1_000_000
        asked.total_us = self._elapsed_us()
        asked.first_us = self._first_us or asked.total_us

    def _elapsed_us(self) -> int:
        return min(int((self._worker.time() - self._started) * 1e6), _U32)


def _ignored(asked: Asked) -> bytes:
    names = ", ".join(asked.ignored)[:1024]
    safe = names.encode("ascii", "replace") if names.isprintable() else b"unprintable names"
    return b"x-littoral-ignored: %b\r\n" % safe
