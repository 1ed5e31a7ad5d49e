"""Answer: what the client of one request hears, in its route's dialect."""

from typing import Protocol

from littoral.domain.errors import NoCandidate
from littoral.gateway import reply
from littoral.gateway.refusal import Refusal
from littoral.gateway.settlement import FAILED
from littoral.gateway.voice import Failing, Stream
from littoral.gateway.wire.account import Account
from littoral.gateway.wire.relay import Events
from littoral.gateway.wire.upstream import Engine


class Asker(Protocol):
    """The client's connection, as an exchange sees it."""

    @property
    def due(self) -> float:
        """When it wants to hear something, monotonic seconds."""
        ...

    @due.setter
    def due(self, value: float) -> None: ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """Answer with an error; the exchange is over."""
        ...

    def finished(self, *, close: bool) -> None:
        """The exchange is over: go on with the next message, or close."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the connection ends after this answer."""
        ...


class Answer(Account):
    """The client's side of an exchange; each way to end it settles first."""

    _framed = staticmethod(reply.chunk)
    _last = reply.LAST_CHUNK
    _client: Asker
    _begun = False
    _events: Events | None
    _stream: Stream | None = None
    _engine: Engine | None
    _copy: list[bytes] | None = None
    """What the client is sent, where it is to be kept."""

    def guess(self, refusal: Refusal) -> bytes | None:
        """What can be said though no place serves it; None where nothing can."""
        if refusal.code != NoCandidate.code or self.route.guess is None:
            return None
        return self.route.guess(self.asked)

    def _begin_stream(self) -> None:
        asked, route = self.asked, self.route
        translator = route.translator or (route.mender if self.place.mends else None)
        if translator is None:
            self._events = Events(route.flow, hold=not asked.wants_usage)
            self._stream = None
        else:
            self._events = Events(route.flow, hold=False)
            self._clock()
            self._stream = translator.stream(asked, self.rid.decode())

    def _translated(self, data: bytes) -> bytes:
        """An engine's whole reply as its client gets it."""
        asked, route = self.asked, self.route
        translator = route.translator or (route.mender if self.place.mends else None)
        if translator is None:
            return data
        self._clock()
        return translator.whole(asked, data, self.rid.decode())

    def _relay(self, out: bytes) -> None:
        """Send one piece; the head goes with the first that is more than a comment."""
        if self._copy is not None:
            self._copy.append(out)
        if self._begun:
            self._client.write(self._framed(out))
        elif self._stream is not None or b"data:" in out:
            self._client.write(self._stream_head() + self._framed(out))

    def _deliver(self, data: bytes, cost: float) -> None:
        if self._copy is not None:
            self._copy.append(data)
        close = self._client.closing
        self._client.write(self.head(cost, length=len(data), close=close) + data)
        self._client.finished(close=close)

    def _finish(self, head: bytes, out: bytes, *, good: bool) -> None:
        """Send the rest of a stream; without its last chunk where it ended badly."""
        if self._copy is not None:
            self._copy.append(out)
        tail = self._last if good else b""
        self._client.write(head + (self._framed(out) if out else b"") + tail)
        self._client.finished(close=self._client.closing or not good)

    def _stream_head(self) -> bytes:
        self._begun = True
        return self.head(None, length=None, close=self._client.closing)

    def _refused(self, refusal: Refusal) -> None:
        """Nothing was answered: book a failure without tokens, and say why."""
        self.forgive()
        self.settle(FAILED, None, 0)
        self._client.refuse(refusal, self.rid)

    def _break(self, refusal: Refusal) -> None:
        """A stream that has begun ends with an error event, no [DONE] and no last chunk."""
        self.settle(FAILED, None, self._events.tokens if self._events is not None else 0)
        self._client.write(self._framed(self._error_event(refusal)))
        self._client.finished(close=True)

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly: read the engine no faster."""
        if self._engine is not None:
            self._engine.hold(stop=stop)

    def _error_event(self, refusal: Refusal) -> bytes:
        if isinstance(self._stream, Failing):
            return self._stream.fail(refusal)
        return self.route.voice.error_event(refusal, self.rid.decode())
