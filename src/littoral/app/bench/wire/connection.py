"""One raw HTTP/1.1 connection: the clock is read before anything else is done with bytes.

This leaves anyio for asyncio's protocols: a callback that stamps what arrived costs 5 to 8
microseconds a piece, a client that awaits each piece 25 times that, and then reports its own delay
as the service's.
"""

import asyncio
from typing import Final, Protocol, cast

import httptools

from littoral.app.bench.digest import Digest
from littoral.domain.ports import Clock

MOST_ERROR: Final = 400
MOST_HEAD: Final = 64 * 1024


class Owner(Protocol):
    """Whoever waits for an answer."""

    def answered(self, connection: "Connection") -> None:
        """The answer is whole."""
        ...

    def lost(self, connection: "Connection", why: str) -> None:
        """The connection is gone, or what came is no HTTP."""
        ...


class Connection(asyncio.Protocol):
    """One connection, one request at a time.

    Args:
        clock: For the stamps.
        streamed: Whether answers are streams of events.
    """

    __slots__ = (
        "_clock",
        "_fed",
        "_keep",
        "_parser",
        "_streamed",
        "complete",
        "digest",
        "fresh",
        "idle_since",
        "now",
        "owner",
        "reused",
        "status",
        "transport",
        "trouble",
    )

    def __init__(self, clock: Clock, *, streamed: bool) -> None:
        self._clock = clock
        self._streamed = streamed
        self.owner: Owner | None = None
        self.transport: asyncio.Transport | None = None
        self.reused = False
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._fed = 0
        self._keep = False
        self.digest = Digest(streamed=self._streamed)
        self.status = 0
        self.now = 0.0
        self.complete = False
        self.fresh = True
        self.trouble = b""

    def send(self, owner: Owner, data: bytes) -> None:
        """Send one request."""
        self._reset()
        self.owner = owner
        if self.transport is not None:
            self.transport.write(data)

    def release(self) -> bool:
        """Take it from its owner; whether it can serve again."""
        self.owner = None
        self.reused = True
        if self.complete and self._keep and self.transport is not None:
            self.idle_since = self.now
            return not self.transport.is_closing()
        self.abort()
        return False

    def abort(self) -> None:
        """Cut it now; nobody hears of it."""
        self.owner = None
        if self.transport is not None:
            self.transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Stamp, then read."""
        self.now = self._clock.now()
        owner = self.owner
        if owner is None or self.complete:
            self.abort()
            return
        self.fresh = False
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.abort()
            owner.lost(self, f"what came is no HTTP/1.1: {error}")
            return
        if self.complete:
            owner.answered(self)
        elif self.status == 0 and self._fed > MOST_HEAD:
            self.abort()
            owner.lost(self, "the head of the answer is too long")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; an answer without a length ends so."""
        owner, self.owner = self.owner, None
        self.transport = None
        if owner is not None:
            owner.lost(self, "the service closed the connection" if exc is None else str(exc))

    # the parser's side

    def on_headers_complete(self) -> None:
        """The head is here."""
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.status == 200:
            self.digest.feed(self.now, data)
        elif len(self.trouble) < MOST_ERROR:
            self.trouble += data[:MOST_ERROR]

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.complete = self.status >= 200
        self._keep = self._parser.should_keep_alive()
