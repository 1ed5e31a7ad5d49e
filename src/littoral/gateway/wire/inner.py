"""Inner: a request that no connection asks, for what the gateway itself wants of an engine.

It is admitted, limited, placed, retried, counted and booked as a client's would be, and its answer
comes as payload, without heads and chunks::

    class Hearing:
        def piece(self, payload: bytes) -> None: ...     # the body, or whole events of a stream
        def refused(self, refusal: Refusal) -> None: ... # nothing was answered; this is the end
        def ended(self, *, good: bool) -> None: ...      # not good: a stream broke, an error event
                                                         # was its last piece

    inner = Inner(worker, hearing, worker.request_id(), key=row)
    inner.ask(CHAT, asked, size=len(body), total_s=60.0)  # asked: from the route's own reader
    inner.cancel()                                        # stops the engine and books what it did

``refused`` may be called before ``ask`` returns. After ``refused``, ``ended`` or ``cancel`` nothing
is heard any more. A worker that stops, and a key that is revoked, cut it as they cut a client.
"""

import math
from typing import Final, Protocol

from littoral.gateway import admission
from littoral.gateway.asked import Asked
from littoral.gateway.head import Terms
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import Route
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.exchange import Exchange
from littoral.gateway.wire.waiting import INTERNAL
from littoral.gateway.wire.worker import Worker

_UNKEPT: Final = Terms(control=b"no-store")


class Listener(Protocol):
    """Hears one answer."""

    def piece(self, payload: bytes) -> None:
        """The whole body, or some whole events of a stream."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """Nothing was answered, and nothing is charged."""
        ...

    def ended(self, *, good: bool) -> None:
        """The answer is complete; or its stream broke, and its last event says why."""
        ...


def _bare(payload: bytes) -> bytes:
    return payload


class Unframed(Exchange):
    """An exchange that hands out payload only."""

    _framed = staticmethod(_bare)
    _last = b""
    watched = False

    def head(self, cost: float | None, *, length: int | None, close: bool) -> bytes:
        """Note the time of the first byte; nobody reads a head."""
        super().head(cost, length=length, close=close)
        return b""


class Inner:
    """One request, as the asker that an exchange sees.

    Args:
        worker: What all share.
        listener: Hears the answer.
        rid: The request's id, as in the ledger.
        key: In whose name, and within whose limits.
        kind: What its exchange is.
    """

    closing = False

    def __init__(
        self,
        worker: Worker,
        listener: Listener,
        rid: bytes,
        *,
        key: KeyRow,
        kind: type[Unframed] = Unframed,
    ) -> None:
        self._worker = worker
        self._listener = listener
        self.exchange = kind(worker, self, rid, key=key)
        self._spoke = -1
        self.key = key
        self.due = math.inf

    def ask(
        self, route: Route, asked: Asked, *, size: int, total_s: float, level: int | None = None
    ) -> None:
        """Begin.

        Args:
            route: How the engine is asked, and what its answer is turned into.
            asked: The request, read.
            size: Its bytes, from which its tokens are estimated.
            total_s: Deadline, seconds from now; ``inf`` for none.
            level: Its priority, 0 the highest; None for the usual one.
        """
        worker = self._worker
        terms = _UNKEPT if level is None else _UNKEPT._replace(level=level)
        self.exchange.terms = terms
        self._spoke = worker.wheel.add(self)
        worker.inners.add(self)
        key = admission.present(worker.source.tables, self.key, now_us=worker.wall_us)
        if isinstance(key, Refusal):
            self.refuse(key, self.exchange.rid)
            return
        self.key = self.exchange.key = key
        try:
            refusal = self.exchange.enter(route, asked, size=size, total_s=total_s)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            worker.fault(error)
            refusal = INTERNAL
        if refusal is not None:
            self.refuse(refusal, self.exchange.rid)

    def cancel(self) -> None:
        """Stop the engine in this tick; what was used is booked."""
        if self._leave():
            self._worker.counters["cancelled"] += 1
            self.exchange.client_gone()

    def hold(self, *, stop: bool) -> None:
        """Read the engine no further, or go on."""
        self.exchange.throttle(stop=stop)

    @property
    def used(self) -> tuple[int, int, int]:
        """Tokens in, of these cached, and out, once it has ended."""
        return self.exchange.used

    def cut(self, refusal: Refusal) -> None:
        """End it from our side; the listener hears why."""
        self.exchange.cut(refusal)

    def expire(self, now: float) -> None:
        """The engine's time for a byte, or the deadline, is over."""
        del now
        self.exchange.expire()

    # what the exchange says

    def write(self, data: bytes) -> None:
        """A piece of the answer."""
        if data:
            self._listener.piece(data)

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """It was refused, here or by the engine."""
        del rid
        if self._leave():
            self._worker.counters[refusal.code] += 1
            self._listener.refused(refusal)

    def finished(self, *, close: bool) -> None:
        """It is over."""
        if self._leave():
            self._listener.ended(good=not close)

    def _leave(self) -> bool:
        worker = self._worker
        worker.wheel.discard(self, self._spoke)
        present = self in worker.inners
        worker.inners.discard(self)
        return present
