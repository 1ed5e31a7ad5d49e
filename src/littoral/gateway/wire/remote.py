"""Remote: an engine of another node, which an exchange uses as it uses one of its own."""

import asyncio
from typing import Final, NamedTuple, Protocol, cast

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import RequestId
from littoral.domain.project import KeyGrant
from littoral.domain.session import Credit, Data, Reset
from littoral.domain.stream import CallHead, Inward, Outward, Via
from littoral.gateway.tally import Usage
from littoral.gateway.wire.batch import Batch
from littoral.gateway.wire.calls import Calls
from littoral.gateway.wire.upstream import CONNECT_S, Engine, Owner, Pool, Target

BASE: Final = "/v1"
BUSY: Final = 429
MISDIRECTED: Final = 421
"""The other node is well, but this call is not for it."""
_FULL: Final = "too many calls to other nodes are under way"


class CallTerms(NamedTuple):
    """For whom a call is made, and what is left of its time, seconds (``inf``: all of it)."""

    rid: bytes
    attempt: int
    grant: KeyGrant
    level: int
    left_s: float


class Caller(Owner, Protocol):
    """An exchange, as a call sees it."""

    def terms_of_call(self) -> CallTerms:
        """For whom the call is made."""
        ...


class Remote(Engine):
    """One call: what an exchange sees of it is a connection that is used once."""

    __slots__ = (
        *("_calls", "_counted", "_inward", "_outward", "_reached", "_reason"),
        *("_severed", "_stream"),
    )

    def __init__(self, pool: Pool, owner: Owner, calls: Calls) -> None:
        super().__init__(pool, owner, b"")
        self._calls = calls
        self._inward = Inward()
        self._outward = Outward()
        self._stream = 0
        self._reached = False
        self._reason = ""
        self._severed = False
        self._counted: Usage | None = None

    @property
    def reached(self) -> bool:
        """Whether the other node said anything."""
        return self._reached

    @property
    def severed(self) -> bool:
        """Whether the session on the way ended."""
        return self._severed

    @property
    def reason(self) -> str:
        """Why it takes no more, where it said so."""
        return self._reason

    @property
    def counted(self) -> Usage | None:
        """What the other node counted."""
        return self._counted

    def call(self, head: CallHead, body: bytes) -> None:
        """Open the stream and let the body go as far as it may."""
        self._outward.put(body, last=True)
        self._stream = self._calls.begin(self, head)
        if self._stream:
            self._flush()
        else:
            self._end_with(BUSY, _FULL)

    def hold(self, *, stop: bool) -> None:
        """Let the answer come no further, or go on."""
        self._inward.hold(stop=stop)
        self._grant()

    def abort(self) -> None:
        """End the call now; the owner hears no more of it."""
        self.owner = None
        if self._stream and not self.complete:
            self._calls.send(Reset(stream=self._stream, code="cancelled"))
        self._finish()

    def heard(self, frame: Data | Reset | Credit) -> None:
        """A frame of the call came."""
        self._reached = True
        if isinstance(frame, Credit):
            self._outward.allow(frame.upto)
            self._flush()
        elif isinstance(frame, Data):
            self._take(frame)
        elif frame.code in {"refused", "no_candidate"}:
            self._end_with(BUSY if frame.retryable else MISDIRECTED, frame.message)
        else:
            self._severed = frame.code == "session_lost"
            self._lose(frame.message or f"the other node ended it: {frame.code}")

    def _take(self, frame: Data) -> None:
        if not self._inward.take(len(frame.body)):
            self._calls.send(Reset(stream=self._stream, code="internal"))
            self._lose("the other node sent more than it was allowed to")
            return
        head = frame.head
        if head is not None and not self.status:
            self.status = head.status
        elif head is not None:
            self._counted = Usage(head.tokens_in, head.cached, head.tokens_out)
        if frame.body:
            self._fed += len(frame.body)
            self.pieces.append(frame.body)
        if frame.fin:
            self.complete = True
            self._finish()
        if self.owner is not None and (self.pieces or self.complete):
            self.owner.engine_read(self)
        self._grant()

    def _end_with(self, status: int, reason: str) -> None:
        """Say why it does not answer, as an engine says it; the owner hears it at once."""
        self._reason = reason
        self.status, self.complete = status, True
        self._finish()
        if self.owner is not None:
            self.owner.engine_read(self)

    def _lose(self, reason: str) -> None:
        owner, self.owner = self.owner, None
        self._finish()
        if owner is not None:
            owner.engine_lost(self, reason)

    def _grant(self) -> None:
        upto = 0 if self.complete or not self._stream else self._inward.grant()
        if upto:
            self._calls.send(Credit(stream=self._stream, upto=upto))

    def _flush(self) -> None:
        for body, last in self._outward.pieces():
            self._calls.send(Data(stream=self._stream, body=body, fin=last))

    def _finish(self) -> None:
        self._calls.end(self._stream)
        self._stream = 0


class RemotePool(Pool):
    """The way to one endpoint of another node: each request is a call of its own.

    Args:
        loop: The event loop.
        batch: As any pool has it; nothing is sent with it.
        calls: The streams of this gateway.
        endpoint: The endpoint, with its way.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, batch: Batch, calls: Calls, *, endpoint: Endpoint
    ) -> None:
        super().__init__(loop, Target("", 0), batch)
        self._calls = calls
        self._endpoint = endpoint

    def dial(self, owner: Owner, data: bytes, *, timeout_s: float = CONNECT_S) -> Engine:
        """Begin a call; that it is refused may be heard before this returns."""
        del timeout_s  # the caller's deadline goes along, and silence is looked for as elsewhere
        head, _, body = data.partition(b"\r\n\r\n")
        path = head.split(b"\r\n", 1)[0].decode()
        terms = cast("Caller", owner).terms_of_call()  # second tries never go to other nodes
        remote = Remote(self, owner, self._calls)
        self._loop.call_soon(remote.call, self._head(path, terms, size=len(body)), body)
        return remote

    def _head(self, path: str, terms: CallTerms, *, size: int) -> CallHead:
        endpoint = self._endpoint
        via = cast("Via", endpoint.via)
        left = terms.left_s
        return CallHead(
            to=via.node,
            origin=via.node,
            via=via.path,
            path=f"{BASE}{path}",
            request=RequestId(terms.rid.decode()),
            attempt=terms.attempt,
            project=terms.grant.project,
            key=terms.grant.id,
            deployment=endpoint.deployment,
            model=endpoint.serves,
            size=size,
            deadline_ms=max(int(left * 1000), 1) if left < 1e9 else 0,
            level=terms.level,
        )
