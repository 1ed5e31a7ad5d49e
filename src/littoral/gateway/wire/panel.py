"""Panel: one client's request that is answered by several chats, a few at one time."""

from typing import Final

from littoral.domain.errors import DeadlinePassed, UpstreamFailed
from littoral.gateway import admission, reply
from littoral.gateway.ballot import NEEDS, Matter
from littoral.gateway.head import Terms
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import CHAT, Route
from littoral.gateway.table import KeyRow, ModelRow
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.exchange import INTERNAL, Exchange
from littoral.gateway.wire.inner import Inner
from littoral.gateway.wire.worker import Worker

AT_ONCE: Final = 8
MOST_S: Final = 600.0
_LATE: Final = refuse(DeadlinePassed, "the deadline passed before every question was answered")


class Panel:
    """The asker of the chats; in the books each of them is a request of the key.

    Args:
        worker: What all share.
        client: Who asks.
        rid: The request's id.
        key: Whose it is, verified.
    """

    def __init__(self, worker: Worker, client: Asker, rid: bytes, *, key: KeyRow) -> None:
        self._worker = worker
        self._client = client
        self._inners: set[Inner] = set()
        self._matter: Matter | None = None
        self._exchange: Exchange | None = None
        self._deadline = 0.0
        self._over = False
        self._starting = False
        self._refusal: Refusal | None = None
        self.terms = Terms()
        self.rid = rid
        self.key = key

    def admit(self, route: Route, body: bytes, *, total_s: float) -> Refusal | None:
        """Read it, and begin to ask; where an engine can answer by itself, it does.

        Args:
            route: How the body is read, and what is decided.
            body: As it came.
            total_s: The caller's deadline, seconds from now; ``inf`` for none.
        """
        try:
            return self._begin(route, body, total_s)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self._worker.fault(error)
            self._stop()
            return INTERNAL

    def _begin(self, route: Route, body: bytes, total_s: float) -> Refusal | None:
        asked = route.read(body)
        if isinstance(asked, Refusal):
            return asked
        model = admission.find(self._worker.source.tables, self.key, asked.model)
        if isinstance(model, Refusal):
            return model
        if route.panel is None or _answers_itself(model, asked.needs):
            self._exchange = Exchange(self._worker, self._client, self.rid, key=self.key)
            self._exchange.terms = self.terms
            return self._exchange.enter(route, asked, size=len(body), total_s=total_s)
        now = self._worker.time()
        self._deadline = now + total_s
        self._client.due = min(self._deadline, now + MOST_S)
        self._matter = route.panel(asked)
        self._starting = True
        self._ask()
        self._starting = False
        return self._refusal

    def _ask(self) -> None:
        """Ask as many chats as may be under way at one time."""
        matter = self._matter
        while matter is not None and len(self._inners) < AT_ONCE and not self._over:
            chat = matter.next()
            if chat is None:
                return
            number, asked, size = chat
            seat = _Seat(self, number)
            inner = Inner(self._worker, seat, self._worker.request_id(), key=self.key)
            seat.inner = inner
            self._inners.add(inner)
            left_s = self._deadline - self._worker.time()
            inner.ask(CHAT, asked, size=size, total_s=left_s, level=self.terms.level)

    def heard(self, inner: Inner, number: int, data: bytes) -> None:
        """One chat is answered."""
        self._inners.discard(inner)
        matter = self._matter
        if self._over or matter is None:
            return
        try:
            matter.hear(number, data)
        except ValueError as error:
            self.failed(inner, refuse(UpstreamFailed, f"an engine's answer is no use: {error}"))
            return
        if matter.complete:
            self._deliver(matter)
        else:
            self._ask()

    def failed(self, inner: Inner, refusal: Refusal) -> None:
        """One chat was refused, so all is."""
        self._inners.discard(inner)
        if not self._over:
            self.cut(refusal)

    def _deliver(self, matter: Matter) -> None:
        self._over = True
        body = matter.answer(self.rid.decode())
        close = self._client.closing
        fields = reply.named(self.rid)
        head = reply.head(200, self._worker.date, fields, length=len(body), close=close)
        self._client.write(head + body)
        self._client.finished(close=close)

    def guess(self, refusal: Refusal) -> bytes | None:
        """None: what is decided is never guessed, whatever the refusal."""
        del refusal

    # what the connection tells

    def client_gone(self) -> None:
        """The client left: nothing more is asked."""
        if self._exchange is not None:
            self._exchange.client_gone()
        self._stop()

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly."""
        if self._exchange is not None:
            self._exchange.throttle(stop=stop)

    def expire(self) -> None:
        """No answer in time."""
        if self._exchange is not None:
            self._exchange.expire()
        else:
            self.cut(_LATE)

    def cut(self, refusal: Refusal) -> None:
        """End it from our side."""
        if self._exchange is not None:
            self._exchange.cut(refusal)
            return
        self._stop()
        if self._starting:
            self._refusal = refusal
        else:
            self._client.refuse(refusal, self.rid)

    def _stop(self) -> None:
        self._over = True
        inners, self._inners = self._inners, set()
        for inner in inners:
            inner.cancel()


def _answers_itself(model: ModelRow, needs: int) -> bool:
    """Whether an engine of the model can do it, or none could hold a panel either."""
    ready = [row.mask for row in model.rows if row.ready]
    if not needs:
        return False
    return any(not needs & ~mask for mask in ready) or all(NEEDS & ~mask for mask in ready)


class _Seat:
    """Hears one chat."""

    inner: Inner

    def __init__(self, panel: Panel, number: int) -> None:
        self._panel = panel
        self._number = number
        self._data = b""

    def piece(self, payload: bytes) -> None:
        self._data += payload

    def refused(self, refusal: Refusal) -> None:
        self._panel.failed(self.inner, refusal)

    def ended(self, *, good: bool) -> None:
        if good:
            self._panel.heard(self.inner, self._number, self._data)
        else:
            self._panel.failed(self.inner, _BROKEN)


_BROKEN: Final = refuse(UpstreamFailed, "an engine's answer broke off")
