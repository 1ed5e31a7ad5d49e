"""Account: the books of one request: where it is placed, what it used, which slot says so."""

import math
from typing import Final, NamedTuple

from littoral.domain.flight import ESTIMATED, STREAMED, cost_of
from littoral.gateway import reply
from littoral.gateway.choice import choose
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import Asked
from littoral.gateway.settlement import OK
from littoral.gateway.table import KeyRow, ModelRow, Place
from littoral.gateway.wire.relay import Usage
from littoral.gateway.wire.worker import Worker
from littoral.placement.decide import Verdict

_U32: Final = 0xFFFF_FFFF


class Arrival(NamedTuple):
    """A request whose key is known, as it came."""

    rid: bytes
    key: KeyRow
    body: bytes
    chat: bool
    total_s: float


class Account:
    """Made at admission, dropped when settled; scratch of the warm path, hence no record.

    Args:
        worker: Whose flight table it is.
        arrival: What came.
        asked: The same, decoded.
        model: Its places are the candidates.
    """

    __slots__ = (
        "_at_us",
        "_first_us",
        "_prices",
        "_skip",
        "_started",
        "_tokens_in",
        "_verdict",
        "_worker",
        "arrival",
        "asked",
        "attempt",
        "model",
        "place",
        "slot",
    )

    def __init__(self, worker: Worker, *, arrival: Arrival, asked: Asked, model: ModelRow) -> None:
        self._worker = worker
        self.arrival = arrival
        self.asked = asked
        self.model = model
        self.attempt = 0
        self.slot = -1
        self._tokens_in = len(arrival.body) // 4 or 1
        self._first_us = 0

    def choose(self, now: float, skip: int) -> Refusal | None:
        """Choose a place; nothing is counted yet.

        Args:
            now: Monotonic seconds; the first call's is when the request began.
            skip: Positions already tried, as bits.
        """
        asked, model = self.asked, self.model
        verdict = choose(
            model,
            needs=asked.needs,
            tokens_in=self._tokens_in,
            tokens_out=min(asked.body.max_tokens or model.expected_out, model.expected_out),
            total_s=self.arrival.total_s,
            skip=skip,
        )
        if isinstance(verdict, Refusal):
            return verdict
        if not skip:
            self._started = now
        self._skip = skip
        self._verdict: Verdict = verdict
        self.place: Place = model.places[verdict.position]
        return None

    def open(self, slot: int) -> None:
        """Take a slot and the place: from here on ``settle`` must come, once."""
        worker = self._worker
        self.slot = slot
        self._at_us = worker.clock.wall()
        worker.in_flight += 1
        self._enter()
        if worker.hit is not None:
            worker.hit("request.admitted")

    def move(self, now: float) -> bool:
        """Try to go to another place; False where none would have it."""
        old = self.place
        if self.choose(now, self._skip | 1 << self._verdict.position) is not None:
            return False
        self.attempt += 1
        old.in_flight -= 1
        self._enter()
        return True

    def _enter(self) -> None:
        place = self.place
        place.in_flight += 1
        endpoint = place.endpoint
        self._prices = (endpoint.price_in, endpoint.price_out)
        header = self._header(OK, Usage(self._tokens_in, 0, 0), estimated=True)
        names = self.arrival.rid + self.arrival.key.names + place.names
        self._worker.flights.open(self.slot, header, names)

    def settle(self, status: int, usage: Usage | None, counted: int) -> float:
        """Write the final counts and give back the place.

        Args:
            status: Of ``settlement``.
            usage: What the engine said, if it did.
            counted: Tokens out that we counted, where it did not.

        Returns:
            The cost.
        """
        worker = self._worker
        estimated = usage is None
        used = Usage(self._tokens_in, 0, counted) if usage is None else usage
        worker.flights.settle(self.slot, self._header(status, used, estimated=estimated))
        self.place.in_flight -= 1
        worker.in_flight -= 1
        if worker.hit is not None:
            worker.hit("request.settled")
        worker.settled()
        price_in, price_out = self._prices
        return cost_of(used.tokens_in, used.tokens_out, price_in=price_in, price_out=price_out)

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
        self._first_us = self._elapsed_us()
        verdict = self._verdict
        fields = reply.story(
            self.arrival.rid,
            self.place.route,
            verdict.why.encode(),
            predicted_s=verdict.total_p50,
            cost=verdict.cost if cost is None else cost,
            ignored=_ignored(self.asked) if self.asked.ignored else b"",
        )
        kind = reply.STREAM if length is None else reply.JSON
        return reply.head(200, self._worker.date, kind + fields, length=length, close=close)

    @property
    def deadline(self) -> float:
        """The caller's, in monotonic seconds."""
        return self._started + self.arrival.total_s

    def _elapsed_us(self) -> int:
        return min(int((self._worker.clock.now() - self._started) * 1e6), _U32)

    def _header(self, status: int, used: Usage, *, estimated: bool) -> tuple[float, ...]:
        verdict = self._verdict
        total_us = self._elapsed_us()
        return (
            (STREAMED if self.asked.streamed else 0) | (ESTIMATED if estimated else 0),
            status,
            self.attempt,
            *used,
            self._at_us,
            self._first_us,
            total_us,
            _micros(verdict.total_p50),
            _micros(verdict.total_p90),
            *self._prices,
        )


def _ignored(asked: Asked) -> bytes:
    names = ", ".join(asked.ignored)[:1024]
    safe = names.encode("ascii", "replace") if names.isprintable() else b"unprintable names"
    return b"x-littoral-ignored: %b\r\n" % safe


def _micros(seconds: float) -> int:
    return _U32 if math.isinf(seconds) or seconds > 4294.0 else int(seconds * 1e6)
