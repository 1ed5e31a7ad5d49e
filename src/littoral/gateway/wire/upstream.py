"""Upstream: connections to engines, parsed strictly, pooled last in first out."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, cast

import httptools

from littoral.domain.endpoint import Address
from littoral.gateway.tally import Usage
from littoral.gateway.wire.batch import Batch

IDLE_S: Final = 4.0
"""Below the idle time of engines (uvicorn: 5 s), so that we close first."""
MAX_REPLY_HEAD: Final = 16 * 1024
CONNECT_S: Final = 1.0


class Owner(Protocol):
    """Whoever waits for a reply on a connection."""

    def engine_read(self, engine: "Engine") -> None:
        """New bytes of the reply are in ``pieces``, or it is ``complete``."""
        ...

    def engine_lost(self, engine: "Engine", reason: str) -> None:
        """The connection is gone, or its bytes are no HTTP; ``engine`` is of no more use."""
        ...


class Engine(asyncio.Protocol):
    """One connection to an engine; one request at a time.

    ``status`` is 0 until the reply's head is complete. ``pieces`` are the body bytes not taken yet.
    ``reused`` marks a connection that has served before: if it dies before any byte of a reply, the
    request was never read.
    """

    __slots__ = (
        "_end",
        "_fed",
        "_parser",
        "complete",
        "idle_since",
        "keep",
        "on_body",
        "owner",
        "pending",
        "pieces",
        "pool",
        "reused",
        "status",
        "transport",
    )

    def __init__(self, pool: "Pool", owner: Owner | None, pending: bytes) -> None:
        self.pool = pool
        self.owner = owner
        self.pending = pending
        self.transport: asyncio.Transport | None = None
        self.reused = False
        self.idle_since = 0.0
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._fed = 0
        self._end = -1
        self.status = 0
        self.complete = self.keep = False

    def send(self, owner: Owner, data: bytes) -> None:
        """Send a request on a pooled connection."""
        self.owner = owner
        self.pending = data
        self.reused = True
        self._reset()
        if self.transport is not None:
            self.pool.batch.write(self.transport, data)

    @property
    def stale(self) -> bool:
        """Whether it was dead before it was used: nobody read the request in ``pending``."""
        return self.reused and self._fed == 0

    @property
    def size(self) -> int:
        """Body bytes not taken yet."""
        return sum(map(len, self.pieces))

    def take(self) -> bytes:
        """Take the body bytes that came since the last call."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    @property
    def reached(self) -> bool:
        """Whether the engine could be reached at all."""
        return self.transport is not None

    @property
    def severed(self) -> bool:
        """Whether the way to it ended, and not the engine: a second try is no load on it."""
        return False

    @property
    def reason(self) -> str:
        """Why it failed, where it says more than a status."""
        return ""

    @property
    def counted(self) -> Usage | None:
        """What was used, where it is said beside the reply."""
        return None

    def hold(self, *, stop: bool) -> None:
        """Read the reply no further, or go on."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            (transport.pause_reading if stop else transport.resume_reading)()

    def abort(self) -> None:
        """Cut the connection now; the owner hears no more of it."""
        self.owner = None
        if self.transport is not None:
            self.transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited for the connection."""
        self.transport = cast("asyncio.Transport", transport)
        if self.owner is None:
            self.transport.abort()
            return
        self.transport.write(self.pending)
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        """Parse, then let the owner look once."""
        owner = self.owner
        if owner is None:
            self.pool.forget(self)
            self.abort()
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                self._broken(owner, "it answered what is not HTTP/1.1")
                return
            self.keep = False
        if self.status == 0 and self._fed > MAX_REPLY_HEAD:
            self._broken(owner, "the head of its reply is too long")
            return
        if self._end >= 0:
            del self.pieces[self._end :]
        if self.pieces or self.complete:
            owner.engine_read(self)

    def eof_received(self) -> None:
        """The engine closes: ``connection_lost`` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The engine is gone."""
        owner, self.owner = self.owner, None
        if owner is None:
            self.pool.forget(self)
        else:
            owner.engine_lost(self, "it closed the connection" if exc is None else str(exc))

    def _broken(self, owner: Owner, reason: str) -> None:
        self.abort()
        owner.engine_lost(self, reason)

    # the parser's side

    # ``on_body`` collects into ``pieces``: a call into C for each chunk, none of ours

    def on_message_begin(self) -> None:
        """A second message after the first is never ours to use."""
        if self.complete and self._end < 0:
            self._end = len(self.pieces)
            self.keep = False

    def on_headers_complete(self) -> None:
        """Learn the status."""
        if self._end < 0:
            self.status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        """End the reply; each 1xx ends here too and is skipped."""
        if self.status < 200:
            self.status = 0
        elif self._end < 0:
            self.complete = True
            self.keep = self._parser.should_keep_alive()


class Target(NamedTuple):
    """Where to connect: TCP, TLS where ``tls`` is set, or a unix socket."""

    host: str
    port: int
    tls: str | None = None

    @classmethod
    def of(cls, address: Address) -> "Target":
        """The target of an endpoint's address."""
        return cls(address.host, address.port, address.tls)


class Pool:
    """Idle connections to one engine, and the way to open more.

    Args:
        loop: The event loop.
        target: Where the engine listens.
        batch: What requests on used connections are sent with.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Target, batch: Batch) -> None:
        self._loop = loop
        self.batch = batch
        self._target = target
        self._idle: list[Engine] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._tls = ssl.create_default_context() if target.tls else None

    @property
    def idle(self) -> int:
        """How many connections wait."""
        return len(self._idle)

    def pop(self, now: float) -> Engine | None:
        """Take the connection used last, unless it has idled too long to be trusted."""
        while self._idle:
            engine = self._idle.pop()
            if now - engine.idle_since < IDLE_S:
                return engine
            engine.abort()
        return None

    def push(self, engine: Engine, now: float) -> None:
        """Keep a connection whose reply is complete and in step."""
        engine.owner = None
        engine.pending = b""
        engine.idle_since = now
        self._idle.append(engine)

    def forget(self, engine: Engine) -> None:
        """Drop a connection that died while idle."""
        if engine in self._idle:
            self._idle.remove(engine)

    def sweep(self, now: float) -> None:
        """Close what has idled too long."""
        while self._idle and now - self._idle[0].idle_since >= IDLE_S:
            self._idle.pop(0).abort()

    def close(self) -> None:
        """Close every idle connection."""
        for engine in self._idle:
            engine.abort()
        self._idle.clear()

    def dial(self, owner: Owner, data: bytes, *, timeout_s: float = CONNECT_S) -> Engine:
        """Open a connection and send on it; the owner hears of failure through ``engine_lost``."""
        engine = Engine(self, owner, data)
        task = self._loop.create_task(self._connect(engine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._loop.call_later(timeout_s, _give_up, task)
        return engine

    async def _connect(self, engine: Engine) -> None:
        reason = "nobody answers at its address in time"
        try:
            await self._open(lambda: engine)
        except OSError as error:
            reason = f"cannot connect: {error.strerror or error}"
        except asyncio.CancelledError:
            pass
        else:
            return
        owner, engine.owner = engine.owner, None
        if owner is not None:
            owner.engine_lost(engine, reason)

    async def _open(self, factory: Callable[[], Engine]) -> None:
        host, port, tls = self._target
        if host.startswith("/"):
            await self._loop.create_unix_connection(factory, host)
        elif self._tls is None:
            await self._loop.create_connection(factory, host, port)
        else:
            await self._loop.create_connection(
                factory, host, port, ssl=self._tls, server_hostname=tls
            )


def _give_up(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
