"""Deferring: a client whose request, where no place can serve it now, is kept until one can.

It stands between the exchange and the connection: a refusal that may end with time becomes 202
once the request is on the node's disk. Whatever else is said passes through.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol

from littoral.domain.deferral import Deferral, deferral_id
from littoral.domain.errors import DeadlinePassed, Denied
from littoral.domain.local import Defer, Look, Shelved
from littoral.domain.project import KEEPING
from littoral.domain.session import Frame
from littoral.domain.units import Micros
from littoral.gateway import deferral, reply
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.ask import Ask
from littoral.gateway.wire.waiting import INTERNAL
from littoral.gateway.wire.worker import Worker

STORE_S: Final = 30.0
_LATE: Final = refuse(DeadlinePassed, "the node did not keep the request in time; it may yet")
_NEVER: Final = refuse(
    Denied,
    "this project stores no content, and a deferred request is content; leave x-littoral-defer "
    "out, or ask its administrator to change responses.store of the project",
    param="x-littoral-defer",
)


Asking = Callable[[int], Frame]
Telling = Callable[[Shelved, bytes], None]


class Connection(Asker, Protocol):
    """The client's connection, as it is seen from here."""

    def enter(self, ask: Ask, body: bytes, asker: Asker) -> None:
        """Give a request to an exchange that answers ``asker``."""
        ...

    def turn_to(self, who: "Deferring | None") -> None:
        """Let this one answer; nobody, for now."""
        ...


class Deferring:
    """One request that may wait, as the asker that its exchange sees.

    Args:
        worker: What all share.
        client: The connection.
        ask: What its head asks for.
        body: Its body.
    """

    def __init__(self, worker: Worker, client: Connection, ask: Ask, *, body: bytes) -> None:
        self._worker = worker
        self._client = client
        self._ask = ask
        self._body = body
        self._number = 0
        self._begun = self._over = False
        self.key = ask.key

    # what an exchange says

    @property
    def due(self) -> float:
        """When the connection wants to hear something."""
        return self._client.due

    @due.setter
    def due(self, value: float) -> None:
        self._client.due = value

    @property
    def closing(self) -> bool:
        """Whether the connection ends after this answer."""
        return self._client.closing

    def write(self, data: bytes) -> None:
        """The answer has begun: it is too late to wait."""
        self._begun = True
        self._client.write(data)

    def finished(self, *, close: bool) -> None:
        """The answer is out."""
        self._client.finished(close=close)

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """Keep the request where that may help; else say why it is refused."""
        worker = self._worker
        if self._begun or not deferral.waits(refusal, offline=worker.offline):
            self._client.refuse(refusal, rid)
            return
        asked = self._ask.route.read(self._body)
        if isinstance(asked, Refusal) or not (self.key.may_infer and self.key.may_use(asked.model)):
            self._client.refuse(refusal, rid)
            return
        worker.counters["deferred"] += 1
        name = worker.request_id()
        kept = self._deferral(asked.model, name, refusal)
        self._wait(lambda number: Defer(number=number, deferral=kept), self._told, name)

    # before the exchange

    def begin(self) -> None:
        """Give it to an exchange, unless it must not wait or, by its idempotency key, does so."""
        worker, ask, rid = self._worker, self._ask, self._worker.request_id()
        project = self.key.grant.project
        keeping = worker.source.tables.keeping.get(project, KEEPING)
        refusal = _NEVER if keeping.store == "never" else deferral.check(ask.route, self._body)
        if refusal is not None:
            self._client.refuse(refusal, rid)
        elif ask.terms.idempotency:
            same = ask.terms.idempotency
            self._wait(
                lambda n: Look(number=n, project=project, response=same, act="same"),
                self._looked,
                rid,
            )
        else:
            self._client.enter(ask, self._body, self)

    def _looked(self, answer: Shelved, rid: bytes) -> None:
        same = self._ask.terms.idempotency
        if not answer.deferrals:
            self._client.enter(self._ask, self._body, self)
        elif answer.deferrals[0].digest != _digest(self._body):
            self._client.refuse(deferral.used_otherwise(same), rid)
        else:
            self._told(answer, rid)

    # ends from outside, while the node is asked

    def client_gone(self) -> None:
        """The client left; what the node keeps it keeps."""
        self._over = True
        self._worker.shelf.forget(self._number)

    def expire(self) -> None:
        """No word of the node in time."""
        self.cut(_LATE)

    def cut(self, refusal: Refusal) -> None:
        """End it from our side."""
        if not self._over:
            self.client_gone()
            self._client.refuse(refusal, self._worker.request_id())

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly: one answer is all there is."""
        del stop

    # the node

    def _wait(self, question: Asking, then: Telling, rid: bytes) -> None:
        def answered(answer: Shelved | Refusal) -> None:
            if self._over:
                return
            self._client.turn_to(None)
            if isinstance(answer, Refusal):
                self._client.refuse(answer, rid)
                return
            try:
                then(answer, rid)
            except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
                self._worker.fault(error)
                self._client.refuse(INTERNAL, rid)

        self._client.due = self._worker.now + STORE_S
        self._client.turn_to(self)
        self._number = self._worker.shelf.ask(question, answered)

    def _told(self, answer: Shelved, rid: bytes) -> None:
        (kept,) = answer.deferrals
        body, close = deferral.told(kept), self._client.closing
        fields = reply.named(rid) + b"location: %b\r\n" % deferral.place_of(kept).encode()
        start = reply.head(202, self._worker.date, fields, length=len(body), close=close)
        self._client.write(start + body)
        self._client.finished(close=close)

    def _deferral(self, model: str, rid: bytes, refusal: Refusal) -> Deferral:
        ask, now_us = self._ask, self._worker.wall_us
        expires_us = Micros(now_us + ask.terms.defer_s * 1_000_000)
        return Deferral(
            id=deferral_id(rid.decode()),
            project=ask.key.grant.project,
            key=ask.key.grant.id,
            path=deferral.path_of(ask.route),
            model=model,
            accepted_us=Micros(now_us),
            expires_us=expires_us,
            keep_us=expires_us,
            level=ask.terms.level,
            idempotency=ask.terms.idempotency,
            digest=_digest(self._body),
            reason=refusal.message,
            body=self._body,
        )


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()
