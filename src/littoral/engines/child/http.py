"""A small HTTP/1.1 server on loopback for engine children: one handler, many connections."""

import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias, final

import anyio
import httptools
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.streams.memory import MemoryObjectSendStream

BODY_BYTES = 32 * 1024 * 1024
HEADER_BYTES = 64 * 1024
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(slots=True, kw_only=True)
class Call:
    """One request as it came."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytearray = field(default_factory=bytearray)


class Broken(Exception):
    """This connection is to be cut."""


@final
class Responder:
    """How a handler answers one request."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._started = False

    async def send(
        self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer at once; the body is JSON unless ``headers`` give it another ``Content-Type``."""
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await self._stream.send(_head(status, {**fields, **(headers or {})}) + body)

    async def event(self, data: bytes) -> None:
        """Send one event of a stream; the first one sends the header before it."""
        head = b""
        if not self._started:
            self._started = True
            kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
            head = _head(200, {**kind, "Transfer-Encoding": "chunked"})
        frame = b"data: " + data + b"\n\n"
        await self._stream.send(head + b"%x\r\n%b\r\n" % (len(frame), frame))

    async def end(self) -> None:
        """End a stream of events."""
        await self._stream.send(b"0\r\n\r\n")

    def cut(self, *, reset: bool = False) -> NoReturn:
        """Cut the connection; with ``reset`` the client sees a reset instead of an end."""
        if reset:
            sock = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610  not Django's
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Broken


Handler: TypeAlias = Callable[[Call, Responder], Awaitable[None]]


async def serve(
    handler: Handler, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve on a free port of 127.0.0.1 until cancelled; reports the port when it listens.

    A client that closes its side cancels the handler of its request.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0, backlog=1024)
    async with listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  not Django's
        task_status.started(int(port))
        await listener.serve(lambda stream: _connection(stream, handler))


async def _connection(stream: SocketStream, handler: Handler) -> None:
    try:
        async with stream, anyio.create_task_group() as group:
            calls_in, calls = anyio.create_memory_object_stream[Call](8)
            group.start_soon(_read, stream, calls_in, group.cancel_scope)
            async with calls:
                async for call in calls:
                    await handler(call, Responder(stream))
    except* (Broken, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass


async def _read(
    stream: SocketStream, calls: MemoryObjectSendStream[Call], scope: anyio.CancelScope
) -> None:
    reader = _Reader()
    async with calls:
        try:
            async for data in stream:
                reader.parser.feed_data(data)
                for call in reader.take():
                    await calls.send(call)
        except (httptools.HttpParserError, anyio.BrokenResourceError):
            pass
        scope.cancel()


@final
class _Reader:
    """Callbacks of the parser: collects whole requests."""

    def __init__(self) -> None:
        self._call = Call()
        self._done: list[Call] = []
        self._size = 0
        self.parser = httptools.HttpRequestParser(self)

    def take(self) -> list[Call]:
        """The requests that are complete by now."""
        done, self._done = self._done, []
        return done

    def on_message_begin(self) -> None:
        self._call = Call()
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._call.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size > HEADER_BYTES:
            raise Broken
        self._call.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._call.method = self.parser.get_method().decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._call.body += data
        if len(self._call.body) > BODY_BYTES:
            raise Broken

    def on_message_complete(self) -> None:
        self._done.append(self._call)


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
