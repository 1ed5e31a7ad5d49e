"""Proxy: ``/api/v1/*`` relayed to control's unix socket, bodies streamed both ways.

Control checks keys and rights itself; this side only keeps the framing honest and bounded.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from littoral.domain.errors import ControlUnreachable
from littoral.gateway import reply
from littoral.gateway.head import Headers
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.wire.upstream import MAX_REPLY_HEAD
from littoral.gateway.wire.worker import Worker

CONNECT_S: Final = 2.0
ANSWER_S: Final = 120.0
MAX_UPLOAD: Final = 64 * 1024 * 1024
HIGH: Final = 256 * 1024
LOW: Final = 64 * 1024
_HOP: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-request-id",
    }
)
_GONE: Final = refuse(
    ControlUnreachable,
    "the control plane does not answer; inference goes on without it",
    retry_after_s=2.0,
)
_TOO_LARGE: Final = Refusal(413, "too_large", f"the body is over {MAX_UPLOAD} bytes", close=True)


class Caller(Protocol):
    """The client's connection, as a passage sees it."""

    due: float
    write: Callable[[bytes], None]
    """Send."""

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """Answer with an error."""
        ...

    def finished(self, *, close: bool) -> None:
        """The answer is out."""
        ...

    def hold(self, *, stop: bool) -> None:
        """Pause or resume the client's upload."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the connection ends after this answer."""
        ...


class Passage(asyncio.Protocol):
    """One request to control and its answer, on a connection of its own.

    Args:
        worker: What all connections share.
        client: Who asks.
        rid: The request's id.
    """

    def __init__(self, worker: Worker, client: Caller, rid: bytes) -> None:
        self._worker = worker
        self._client = client
        self._rid = rid
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[bytes] = []
        self._uploaded = 0
        self._upload_chunked = False
        self._held = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_only = False
        self._fed = 0
        self._begun = False
        self._chunked = False
        self._out: list[bytes] = []
        self._complete = False
        self._over = False

    # the client's request

    def ask(self, line: tuple[bytes, bytes], headers: Headers, *, length: int) -> None:
        """Write the head that goes to control.

        Args:
            line: Method and target, as sent.
            headers: As sent; those of one hop stay behind.
            length: Of the body; -1 where it is chunked.
        """
        method, url = line
        self._head_only = method == b"HEAD"
        lines = [b"%b %b HTTP/1.1" % (method, url), b"host: control", b"connection: close"]
        lines += [b"%b: %b" % (n, v) for n, v in headers if n.lower() not in _HOP]
        lines.append(b"x-request-id: " + self._rid)
        self._upload_chunked = length < 0
        if length < 0:
            lines.append(b"transfer-encoding: chunked")
        elif length or method not in {b"GET", b"HEAD"}:
            lines.append(b"content-length: %d" % length)
        self._waiting.append(b"\r\n".join(lines) + b"\r\n\r\n")

    def start(self) -> None:
        """Dial control; it is this request's turn."""
        self._client.due = self._worker.now + ANSWER_S
        self._task = self._worker.loop.create_task(self._connect())
        self._worker.loop.call_later(CONNECT_S, self._give_up)

    def body(self, data: bytes) -> None:
        """A piece of the upload."""
        if self._over:
            return
        self._uploaded += len(data)
        if self._uploaded > MAX_UPLOAD:
            self._fail(_TOO_LARGE)
            return
        self._client.due = self._worker.now + ANSWER_S
        self._send(reply.chunk(data) if self._upload_chunked else data)

    def end(self) -> None:
        """The upload is whole."""
        if self._upload_chunked and not self._over:
            self._send(reply.LAST_CHUNK)

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
            return
        self._waiting.append(data)
        if not self._held and self._uploaded > HIGH:
            self._held = True
            self._client.hold(stop=True)

    # the connection to control

    async def _connect(self) -> None:
        loop = self._worker.loop
        try:
            await loop.create_unix_connection(lambda: self, self._worker.control_socket)
        except (OSError, asyncio.CancelledError):
            if not self._over:
                self._fail(_GONE)

    def _give_up(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited."""
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(HIGH, LOW)
        self._transport.writelines(self._waiting)
        self._waiting = []
        if self._held:
            self._held = False
            self._client.hold(stop=False)

    def pause_writing(self) -> None:
        """Control reads slowly."""
        self._client.hold(stop=True)

    def resume_writing(self) -> None:
        """It caught up."""
        if not self._over:
            self._client.hold(stop=False)

    def data_received(self, data: bytes) -> None:
        """Relay what control answers."""
        if self._over:
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._complete:
                self._fail(_GONE)
                return
        if not self._begun and self._fed > MAX_REPLY_HEAD:
            self._fail(_GONE)
            return
        self._flush()

    def eof_received(self) -> None:
        """Control closes: ``connection_lost`` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Control is gone, perhaps before its answer was whole."""
        del exc
        if not self._over:
            self._complete = self._complete or (self._begun and self._chunked_by_close)
            if self._complete:
                self._flush()
            else:
                self._fail(_GONE)

    # the parser's side

    _chunked_by_close = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect."""
        if not self._begun:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Send a head of our own with control's fields."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._begun = True
        fields, framing = self._fields(), None
        lower = {name.lower(): value for name, value in self._headers}
        if b"content-length" in lower and b"transfer-encoding" not in lower:
            framing = int(lower[b"content-length"])
        elif status not in {204, 304}:
            self._chunked = not self._head_only
            self._chunked_by_close = b"transfer-encoding" not in lower
            fields += b"transfer-encoding: chunked\r\n" if self._chunked else b""
        worker, close = self._worker, self._client.closing
        self._out.append(reply.head(status, worker.date, fields, length=framing, close=close))
        if self._head_only:
            self._complete = True

    def _fields(self) -> bytes:
        kept = [
            b"%b: %b\r\n" % (name, value)
            for name, value in self._headers
            if name.lower() not in _HOP and name.lower() not in {b"date", b"server"}
        ]
        return b"".join(kept) + b"x-request-id: %b\r\n" % self._rid

    def on_body(self, data: bytes) -> None:
        """A piece of the answer."""
        if not self._complete:
            self._out.append(reply.chunk(data) if self._chunked else data)

    def on_message_complete(self) -> None:
        """The answer is whole; a 1xx was not it."""
        if self._begun:
            self._complete = True

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._complete and self._chunked:
            out.append(reply.LAST_CHUNK)
        if out:
            self._client.due = self._worker.now + ANSWER_S
            self._client.write(b"".join(out))
        if self._complete:
            self._close()
            self._client.finished(close=self._client.closing)

    # other ends

    def client_gone(self) -> None:
        """The client left."""
        self._close()

    def expire(self) -> None:
        """Control does not answer in time."""
        self._fail(_GONE)

    def cut(self, refusal: Refusal) -> None:
        """End it from our side."""
        self._fail(refusal)

    def throttle(self, *, stop: bool) -> None:
        """The client reads slowly: read control no faster."""
        if self._transport is None or self._transport.is_closing():
            return
        if stop:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _fail(self, refusal: Refusal) -> None:
        """Say so, or, in the middle of an answer, break it off."""
        begun = self._begun
        self._close()
        if begun:
            self._client.finished(close=True)
        else:
            self._client.refuse(refusal, self._rid)

    def _close(self) -> None:
        self._over = True
        if self._transport is not None:
            self._transport.abort()
        elif self._task is not None:
            self._task.cancel()
