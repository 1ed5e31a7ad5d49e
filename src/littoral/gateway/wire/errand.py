"""Errand: one question about what the node keeps, stored responses and deferred requests."""

import re
from collections.abc import Callable
from typing import Final

from littoral.domain.errors import DeadlinePassed, InvalidInput
from littoral.domain.local import LookAct
from littoral.domain.session import Look, Shelved
from littoral.gateway import admission, deferral, desk, reply
from littoral.gateway.dialect.responses import kept
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.follower import Follower
from littoral.gateway.wire.respond import STORE_S
from littoral.gateway.wire.waiting import INTERNAL
from littoral.gateway.wire.worker import Worker

_PATH: Final = re.compile(r"/v1/responses/(resp_[A-Za-z0-9_-]{1,256})(/cancel|/input_items|)")
_DEFERRED: Final = re.compile(r"/v1/deferred(?:/(dfr_[A-Za-z0-9_-]{1,256})(/result|/cancel|))?")
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_LATE: Final = refuse(DeadlinePassed, "the store did not answer in time", retry_after_s=1.0)


def kept_path(url: bytes) -> bool:
    """Whether a target, without its query, is of a stored response or of deferred requests."""
    return url.startswith((b"/v1/responses/", b"/v1/deferred/")) or url == b"/v1/deferred"


class Errand:
    """One question, from the client to the node and back.

    Args:
        worker: What all share.
        client: Who asks.
        rid: The request's id.
        key: Whose it is.
    """

    _media = reply.JSON

    def __init__(self, worker: Worker, client: Asker, rid: bytes, *, key: KeyRow) -> None:
        self._worker = worker
        self._client = client
        self._rid = rid
        self.key = key
        self._number = 0
        self._over = False
        self._follower: Follower | None = None

    def start(self, method: bytes, url: bytes) -> Refusal | None:
        """Ask the node what the client asks; returns why that cannot be asked."""
        parts = self._parts(url, _PATH)
        if isinstance(parts, Refusal):
            return parts
        name, rest, query = parts
        match method, rest:
            case b"GET", "" if query.get("stream") == "true":
                return self._follow(name, query.get("starting_after", ""))
            case b"GET", "":
                self._ask(name, "show", _shown)
            case b"GET", "/input_items":
                self._ask(name, "show", lambda each: kept.page_of(each.responses[0], query))
            case b"DELETE", "":
                self._ask(name, "drop", lambda _: kept.deleted(name))
            case b"POST", "/cancel":
                self._ask(name, "halt", _shown)
            case b"POST", "":  # another endpoint of OpenAI's, such as compact: no response's name
                return desk.nothing(url)
            case _:
                return desk.wrong_method(method)
        return None

    def client_gone(self) -> None:
        """The client left."""
        self._over = True
        self._worker.shelf.forget(self._number)
        if self._follower is not None:
            self._follower.client_gone()

    def expire(self) -> None:
        """No answer in time, or no event to follow."""
        if self._follower is not None:
            self._follower.expire()
        else:
            self.cut(_LATE)

    def cut(self, refusal: Refusal) -> None:
        """End it from our side."""
        if self._follower is not None:
            self._follower.cut(refusal)
        elif not self._over:
            self._over = True
            self._client.refuse(refusal, self._rid)

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly: one answer is all there is."""
        del stop

    def _parts(
        self, url: bytes, known: re.Pattern[str]
    ) -> tuple[str, str, dict[str, str]] | Refusal:
        """What is asked about, what of it, and the query; or why this key may not ask that."""
        path, query = desk.parts_of(url)
        found = known.fullmatch(path)
        if found is None:
            return desk.nothing(url)
        name, rest = found.groups("")
        return admission.check_scope(self.key) or (name, rest, query)

    def _follow(self, name: str, after: str) -> Refusal | None:
        if after and not (after.isdecimal() and len(after) < 10):
            message = f"starting_after must be the number of an event, not {after!r}"
            return refuse(InvalidInput, message, param="starting_after")
        self._follower = Follower(self._worker, self._client, self._rid, key=self.key)
        self._follower.start(name, int(after) if after else -1)
        return None

    def _ask(
        self,
        name: str,
        act: LookAct,
        say: Callable[[Shelved], bytes | Refusal],
        *,
        before: int = 0,
        limit: int = 0,
    ) -> None:
        def answered(answer: Shelved | Refusal) -> None:
            if self._over:
                return
            self._over = True
            try:
                body = say(answer) if isinstance(answer, Shelved) else answer
            except Exception as error:  # noqa: BLE001  the request edge: the node's link goes on
                self._worker.fault(error)
                body = INTERNAL
            if isinstance(body, Refusal):
                self._client.refuse(body, self._rid)
                return
            close = self._client.closing
            fields, date = self._media + reply.of(self._rid), self._worker.date
            head = reply.head(200, date, fields, length=len(body), close=close)
            self._client.write(head + body)
            self._client.finished(close=close)

        self._client.due = self._worker.now + STORE_S
        project = self.key.grant.project
        self._number = self._worker.shelf.ask(
            lambda n: Look(
                number=n, project=project, response=name, act=act, before=before, limit=limit
            ),
            answered,
        )


class Inquiry(Errand):
    """One question about deferred requests: list them, show one or its result, drop one."""

    def start(self, method: bytes, url: bytes) -> Refusal | None:
        """Ask the node what the client asks; returns why that cannot be asked."""
        parts = self._parts(url, _DEFERRED)
        if isinstance(parts, Refusal):
            return parts
        name, rest, query = parts
        match method, rest:
            case b"GET", "" if not name:
                return self._list(query.get("limit", ""), query.get("before", ""))
            case b"GET", "":
                self._ask(name, "show", _told)
            case b"GET", "/result":
                self._ask(name, "thread", self._result)
            case b"DELETE", "" if name:
                self._ask(name, "drop", lambda a: _told(a) if a.deferrals else _gone(name))
            case b"POST", "/cancel":
                self._ask(name, "halt", _told)
            case _:
                return desk.wrong_method(method)
        return None

    def _list(self, limit: str, before: str) -> Refusal | None:
        most = deferral.MOST_OF_A_PAGE
        if limit and not (_COUNT.fullmatch(limit) and 1 <= int(limit) <= most):
            return refuse(InvalidInput, f"limit must be 1 to {most}, not {limit!r}", param="limit")
        if before and not _COUNT.fullmatch(before):
            message = f"before must be what the last page calls next, not {before!r}"
            return refuse(InvalidInput, message, param="before")
        count = int(limit or most)

        def shown(answer: Shelved) -> bytes:
            return deferral.page(answer.deferrals, limit=count)

        self._ask("", "list", shown, before=int(before or 0), limit=count + 1)
        return None

    def _result(self, answer: Shelved) -> bytes | Refusal:
        (found,) = answer.deferrals
        if found.state != "completed":
            return deferral.unanswered(found)
        self._media = b"content-type: %b\r\n" % found.media.encode()
        return found.answer


def _told(answer: Shelved) -> bytes:
    return deferral.told(answer.deferrals[0])


def _gone(name: str) -> bytes:
    return deferral.deleted(name)


def _shown(answer: Shelved) -> bytes:
    return kept.shown(answer.responses[0])


def begin(
    worker: Worker, client: Asker, key: KeyRow | Refusal, *, method: bytes, url: bytes
) -> Errand | None:
    """Begin an errand; a question that cannot be asked is refused, and there is none."""
    rid = worker.request_id()
    if isinstance(key, Refusal):
        client.refuse(key, rid)
        return None
    kind = Inquiry if url.startswith(b"/v1/deferred") else Errand
    errand = kind(worker, client, rid, key=key)
    refusal = errand.start(method, url)
    if refusal is None:
        return errand
    client.refuse(refusal, rid)
    return None
