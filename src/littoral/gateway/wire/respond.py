"""Respond: one request for a response, with what the node keeps before, after or instead of it.

Without ``store``, ``background`` and ``previous_response_id`` it is an exchange like any other.
"""

from collections.abc import Callable, Sequence
from typing import Final

from littoral.domain.errors import DeadlinePassed, Denied
from littoral.domain.project import KEEPING, Keeping
from littoral.domain.response import ResponseStatus, StoredResponse
from littoral.domain.session import Frame, Keep, Look, Shelved
from littoral.domain.traffic import CachePolicy
from littoral.domain.units import DAY_US, Micros
from littoral.gateway import admission, reply
from littoral.gateway.dialect.responses import kept
from littoral.gateway.dialect.responses import wish as wishes
from littoral.gateway.dialect.responses.ask import asked_of
from littoral.gateway.dialect.responses.resource import ENCODE, name_of, resource_of
from littoral.gateway.dialect.responses.wish import Item, Wish
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import Route
from littoral.gateway.tally import Usage
from littoral.gateway.wire.exchange import INTERNAL, Exchange
from littoral.gateway.wire.follower import Follower

STORE_S: Final = 30.0
"""Longest wait for the store."""
_SLOW: Final = refuse(DeadlinePassed, "the node did not answer in time about stored responses")
_NEVER: Final = refuse(
    Denied,
    "this project stores no responses; leave store and background out, or ask its administrator "
    "to change responses.store of the project",
    param="store",
)


class Respond(Exchange):
    """The exchange of one response."""

    _wish: Wish
    _ignored: Sequence[str]
    _total_s: float
    _kept = False
    _over = False
    _asking = False
    """Whether it waits for the node, and for nothing else."""
    _follower: Follower | None = None

    def admit(self, route: Route, body: bytes, *, total_s: float) -> Refusal | None:
        """Check; look up what it continues; then place and send, or put it into the background."""
        try:
            return self._admit(route, body, total_s)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self._worker.fault(error)
            return INTERNAL

    def _admit(self, route: Route, body: bytes, total_s: float) -> Refusal | None:
        found = wishes.read(body)
        if isinstance(found, Refusal):
            return found
        self._wish, self._ignored = found
        self.route, self._total_s, self._size = route, total_s, len(body)
        refusal = admission.check_scope(self.key) or self._decide_store()
        previous = self._wish.previous_response_id
        if refusal is not None:
            return refusal
        if previous is None:
            return self._proceed(())
        project = self.key.grant.project
        self._ask(
            lambda n: Look(number=n, project=project, response=previous, act="thread"),
            self._recalled,
        )
        return None

    @property
    def may_cascade(self) -> bool:
        """Not where the answer is stored: its name is given to the first one."""
        return super().may_cascade and not self._wish.store

    # ends from outside

    def client_gone(self) -> None:
        """The client left; what is in the background goes on."""
        self._over = True
        if self._follower is not None:
            self._follower.client_gone()
        else:
            super().client_gone()

    def expire(self) -> None:
        """No byte in time, no event to follow, or no word of the node."""
        if self._follower is not None:
            self._follower.expire()
        elif self._asking:
            self.cut(_SLOW)
        else:
            super().expire()

    def cut(self, refusal: Refusal) -> None:
        """End it from our side; what is in the background goes on."""
        self._over = True
        if self._follower is not None:
            self._follower.cut(refusal)
        else:
            super().cut(refusal)

    def _look(self, policy: CachePolicy, now: float, *, stale_s: float) -> Refusal | bool:
        """Answer from the cache, but for what is to be stored: each has a name of its own."""
        return False if self._wish.store else super()._look(policy, now, stale_s=stale_s)

    def settle(self, status: int, usage: Usage | None, counted: int) -> float:
        """Settle, unless no engine was asked yet."""
        return super().settle(status, usage, counted) if self.slot >= 0 else 0.0

    # before

    def _decide_store(self) -> Refusal | None:
        wish, rule = self._wish, self._keeping().store
        if rule == "never":
            return _NEVER if wish.store or wish.background else None
        if wish.store is None and (wish.background or rule == "always"):
            wish.store = True
        return None

    def _keeping(self) -> Keeping:
        return self._worker.source.tables.keeping.get(self.key.grant.project, KEEPING)

    def _recalled(self, answer: Shelved) -> None:
        refusal = self._proceed(kept.before_of(answer.responses))
        if refusal is not None:
            self._client.refuse(refusal, self.rid)

    def _proceed(self, before: Sequence[Item]) -> Refusal | None:
        asked = asked_of(self._wish, self._ignored, before)
        if isinstance(asked, Refusal):
            return asked
        if self._wish.background:
            return self._queue(before)
        size = self._size + (len(ENCODE(before)) if before else 0)
        return self.enter(self.route, asked, size=size, total_s=self._total_s)

    # instead

    def _queue(self, before: Sequence[Item]) -> Refusal | None:
        """Put it into the background; the client is answered when it is on disk."""
        worker, wish = self._worker, self._wish
        model = admission.find(worker.source.tables, self.key, wish.model)
        if isinstance(model, Refusal):
            return model
        name = name_of(self.rid.decode())
        resource = resource_of(wish, name, worker.wall_us // 1_000_000)
        resource.status = "queued"
        body = ENCODE(resource)
        response = self._stored("queued", body, asked=kept.to_run(wish, before))

        def queued(_answer: Shelved) -> None:
            if wish.stream:
                self._follower = Follower(worker, self._client, self.rid, key=self.key)
                self._follower.start(response.id, -1)
                return
            fields, close = reply.named(self.rid), self._client.closing
            start = reply.head(200, worker.date, fields, length=len(body), close=close)
            self._client.write(start + body)
            self._client.finished(close=close)

        self._ask(lambda n: Keep(number=n, response=response), queued)
        return None

    # after

    def _deliver(self, data: bytes, cost: float) -> None:
        if not self._wish.store:
            super()._deliver(data, cost)
            return
        response = self._stored(kept.status_of(data), data)
        self._ask(
            lambda n: Keep(number=n, response=response),
            lambda _: Exchange._deliver(self, data, cost),  # noqa: SLF001  our own, later
        )

    def _finish(self, head: bytes, out: bytes, *, good: bool) -> None:
        body = kept.last_of(out) if self._wish.store and not self._kept else None
        if body is None:
            super()._finish(head, out, good=good)
            return
        self._kept = True
        self._begun = not head  # it was made, and has not left yet
        response = self._stored(kept.status_of(body), body)

        def failed(refusal: Refusal) -> None:
            if head:
                self._client.refuse(refusal, self.rid)
                return
            self._client.write(self._framed(self._error_event(refusal)))
            self._client.finished(close=True)

        self._ask(
            lambda n: Keep(number=n, response=response),
            lambda _: Exchange._finish(self, head, out, good=good),  # noqa: SLF001  our own, later
            failed,
        )

    def _error_event(self, refusal: Refusal) -> bytes:
        event = super()._error_event(refusal)
        body = kept.last_of(event) if self._wish.store else None
        if body is not None and not self._kept:
            self._kept = True
            response = self._stored("failed", body)
            self._worker.shelf.ask(lambda n: Keep(number=n, response=response), _unheard)
        return event

    # the store

    def _ask(
        self,
        question: Callable[[int], Frame],
        then: Callable[[Shelved], None],
        failed: Callable[[Refusal], None] | None = None,
    ) -> None:
        """Ask the node; go on when it answers, unless this is over by then."""

        def answered(answer: Shelved | Refusal) -> None:
            if self._over:
                return
            self._asking = False
            try:
                if isinstance(answer, Shelved):
                    then(answer)
                elif failed is not None:
                    failed(answer)
                else:
                    self._client.refuse(answer, self.rid)
            except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
                self._worker.fault(error)
                self.cut(INTERNAL)

        self._client.due, self._asking = self._worker.now + STORE_S, True
        self._worker.shelf.ask(question, answered)

    def _stored(self, status: ResponseStatus, body: bytes, asked: bytes = b"") -> StoredResponse:
        wish, grant = self._wish, self.key.grant
        name, now_us = name_of(self.rid.decode()), self._worker.wall_us
        return StoredResponse(
            id=f"resp_{name}",
            project=grant.project,
            key=grant.id,
            created_us=Micros(now_us),
            expires_us=Micros(now_us + self._keeping().days * DAY_US),
            status=status,
            background=bool(wish.background),
            streamed=bool(wish.background and wish.stream),
            previous=wish.previous_response_id or "",
            input=kept.input_of(wish, name),
            body=body,
            asked=asked,
        )


def _unheard(answer: Shelved | Refusal) -> None:
    """Nobody waits for this answer."""
    del answer
