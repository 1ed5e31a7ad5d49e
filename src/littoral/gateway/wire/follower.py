"""Follower: a client that hears the stream of a response in the background, from any event on."""

import math
from collections.abc import Callable
from typing import Final

from littoral.domain.errors import InvalidInput
from littoral.domain.response import UNDER_WAY
from littoral.domain.session import Heard, Look, Shelved
from littoral.gateway import reply
from littoral.gateway.dialect.responses import kept
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.answer import Asker
from littoral.gateway.wire.worker import Worker

COMMENT_S: Final = 15.0
"""A stream that is silent for so long says so, and that it goes on."""
_NO_STREAM: Final = refuse(
    InvalidInput,
    "this response was not asked for as a stream in the background; get it without stream",
    param="stream",
)


class Follower:
    """One client, and what it hears.

    Args:
        worker: What all share.
        client: Who listens.
        rid: The request's id.
        key: Whose it is.
    """

    def __init__(self, worker: Worker, client: Asker, rid: bytes, *, key: KeyRow) -> None:
        self._worker = worker
        self._client = client
        self._rid = rid
        self.key = key
        self._name = ""
        self._next = 0
        self._number = 0
        self._begun = False
        self._over = False
        self._ended = False

    def start(self, name: str, after: int) -> None:
        """Begin to hear.

        Args:
            name: The response.
            after: Number of the last event that the client has; -1 for none.
        """
        self._name, self._next = name, after + 1
        self._client.due = math.inf
        self._number = self._worker.shelf.follow(
            lambda n: Look(number=n, project=self.key.grant.project, response=name, act="follow"),
            self._shown,
            self._hear,
        )

    def client_gone(self) -> None:
        """The client left: the response goes on without it."""
        self._over = True
        self._worker.shelf.forget(self._number)

    def expire(self) -> None:
        """Nothing was heard for long: a comment keeps the connection."""
        self._client.due = self._worker.now + COMMENT_S
        if self._begun and not self._over:
            self._client.write(reply.chunk(b": it goes on\n\n"))

    def cut(self, refusal: Refusal) -> None:
        """End it from our side; the client may follow again from where it is."""
        if self._over:
            return
        self.client_gone()
        if self._begun:
            self._client.finished(close=True)
        else:
            self._client.refuse(refusal, self._rid)

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly; what waits for it is bounded by what a stream may have."""
        del stop

    def _shown(self, answer: Shelved | Refusal) -> None:
        if self._over or self._begun:
            return
        if isinstance(answer, Refusal):
            self._refuse(answer)
        elif not answer.responses[0].streamed:
            self._worker.shelf.forget(self._number)
            self._refuse(_NO_STREAM)
        else:
            self._begun = True
            self._client.due = self._worker.now + COMMENT_S
            lines = b"x-request-id: %b\r\n" % self._rid + reply.STREAM
            closing = self._client.closing
            head = reply.head(200, self._worker.date, lines, length=None, close=closing)
            self._client.write(head)

    def _hear(self, heard: Heard) -> None:
        if self._over:
            return
        events, self._next = kept.numbers_from(heard.events, self._next)
        self._client.due = self._worker.now + COMMENT_S
        self._ended |= kept.last_of(heard.events) is not None
        if events:
            self._client.write(reply.chunk(events))
        if heard.ended and self._ended:
            self._finish()
        elif heard.ended:
            project, name = self.key.grant.project, self._name
            self._ask(lambda number: Look(number=number, project=project, response=name))

    def _ask(self, question: Callable[[int], Look]) -> None:
        self._number = self._worker.shelf.ask(question, self._close)

    def _close(self, answer: Shelved | Refusal) -> None:
        """Say how a stream ended that did not say so itself."""
        if self._over:
            return
        if isinstance(answer, Shelved) and answer.responses[0].status not in UNDER_WAY:
            self._client.write(reply.chunk(kept.rest_of(answer.responses[0], self._next)))
            self._finish()
        else:
            self._over = True
            self._client.finished(close=True)

    def _finish(self) -> None:
        self._over = True
        self._client.write(reply.LAST_CHUNK)
        self._client.finished(close=self._client.closing)

    def _refuse(self, refusal: Refusal) -> None:
        self._over = True
        self._client.refuse(refusal, self._rid)
