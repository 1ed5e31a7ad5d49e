"""Socket: a pipe over WebSocket, TLS and TCP; one binary frame is one message."""

import contextlib
import socket
import ssl
import struct
import sys
from collections import deque
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSAttribute, TLSStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from littoral.app.link.tls import peer_of, validity_us
from littoral.domain.link import CLOSE_CODES, REASONS, Peer
from littoral.domain.pipe import MOST_MESSAGE, PipeClosed
from littoral.domain.ports import Shed
from littoral.domain.units import Micros
from littoral.trust.dates import NOT_YET_VALID

PATH: Final = "/node/v1/session"
SUBPROTOCOL: Final = Subprotocol("littoral.session.1")
GIVE_UP_MS: Final = 20_000
"""Sent bytes that nobody acknowledges for so long end the connection: a cut link is silent."""
UNSENT_BYTES: Final = 16 * 1024
"""What the kernel may hold that was not sent yet: it cannot be overtaken."""
READ_BYTES: Final = 65_536
FAREWELL_S: Final = 1.0
BROKEN: Final = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    ssl.SSLError,
    OSError,
)


class NotYet(PipeClosed):
    """The listener's certificate does not hold yet by this host's clock: it may be behind."""


class SocketPipe:
    """One end of an open connection.

    Args:
        stream: The bytes; this pipe owns them.
        frames: The WebSocket on top, after its handshake.
        peer: Who is there, where it is a node.
        unchecked_us: Dates of its certificate that nobody compared.
    """

    def __init__(
        self,
        stream: ByteStream,
        frames: ServerProtocol | ClientProtocol,
        *,
        peer: Peer | None = None,
        unchecked_us: tuple[Micros, Micros] | None = None,
    ) -> None:
        self._stream = stream
        self._frames = frames
        self._inbox: deque[bytes] = deque()
        self._turn = anyio.Lock()
        self._over = anyio.Event()
        self._reading = False
        self.peer = peer
        self.unchecked_us = unchecked_us

    async def send(self, message: bytes) -> None:
        """Send one message; waits until the kernel has taken it."""
        async with self._turn:
            if self._frames.state is not State.OPEN:
                raise self._ending()
            self._frames.send_binary(message)
            await self._flush()

    async def receive(self) -> bytes:
        """The next message."""
        self._reading = True
        try:
            while not self._inbox:
                await self._read()
            return self._inbox.popleft()
        finally:
            self._reading = False

    async def close(self, reason: str, message: str = "") -> None:
        """Say why, wait a moment for the answer, and end it."""
        with anyio.move_on_after(FAREWELL_S, shield=True), contextlib.suppress(*BROKEN, PipeClosed):
            if self._frames.state is State.OPEN and reason != "lost":
                async with self._turn:
                    code = CLOSE_CODES.get(reason, CloseCode.NORMAL_CLOSURE)
                    self._frames.send_close(code, message.encode()[:120].decode(errors="ignore"))
                    await self._flush()
                if self._reading:
                    await self._over.wait()
                else:
                    while True:
                        await self._read()
        await self.abort()

    async def abort(self) -> None:
        """End it without a word."""
        self._over.set()
        with anyio.CancelScope(shield=True), contextlib.suppress(*BROKEN):
            await anyio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        """Read what is there and take it apart."""
        if self._frames.state is State.CLOSED:
            raise self._ending()
        try:
            self._frames.receive_data(await self._stream.receive(READ_BYTES))
        except anyio.EndOfStream:
            self._frames.receive_eof()
        except BROKEN as error:
            self._over.set()
            raise PipeClosed("lost", _words(error)) from error
        self._sort()
        async with self._turn:
            await self._flush()
        if self._frames.close_rcvd is not None or self._frames.state is State.CLOSED:
            self._over.set()
            if not self._inbox:
                raise self._ending()

    def _sort(self) -> None:
        for event in self._frames.events_received():
            if not isinstance(event, Frame) or event.opcode in {Opcode.PING, Opcode.PONG}:
                continue
            if event.opcode is Opcode.BINARY and event.fin:
                self._inbox.append(bytes(event.data))
            elif event.opcode is not Opcode.CLOSE:
                self._frames.fail(CloseCode.UNSUPPORTED_DATA, "one binary frame is one message")

    async def _flush(self) -> None:
        """Hand on what the WebSocket has to say."""
        data = b"".join(self._frames.data_to_send())
        if data:
            try:
                await self._stream.send(data)
            except BROKEN as error:
                raise PipeClosed("lost", _words(error)) from error

    def _ending(self) -> PipeClosed:
        said = self._frames.close_rcvd or self._frames.close_sent
        if said is None:
            return PipeClosed("lost", "the connection ended without a word")
        ordinary = "closed" if said.code == CloseCode.NORMAL_CLOSURE else "lost"
        reason = REASONS.get(said.code, ordinary)
        return PipeClosed(reason, said.reason or reason)


async def accepted(stream: SocketStream, context: ssl.SSLContext) -> SocketPipe:
    """Do the listening end's handshakes.

    Raises:
        PipeClosed: The other end is no node of this cluster, or wants something else.
    """
    try:
        _tune(stream)
        secured = await TLSStream.wrap(
            stream, server_side=True, ssl_context=context, standard_compatible=False
        )
        shown = secured.extra(TLSAttribute.peer_certificate)  # noqa: S610  anyio's, not Django's
        peer = peer_of(shown)
        frames = ServerProtocol(subprotocols=[SUBPROTOCOL], max_size=MOST_MESSAGE)
        request = await _first(secured, frames)
        if not isinstance(request, Request):
            raise PipeClosed("lost", "the connection ended in its handshake")
        response = frames.accept(request)
        if request.path != PATH:
            response = frames.reject(404, f"sessions are at {PATH}\n")
        elif peer is None:
            response = frames.reject(403, "this certificate names no node\n")
        frames.send_response(response)
        await secured.send(b"".join(frames.data_to_send()))
    except BROKEN as error:
        raise PipeClosed("lost", _words(error)) from error
    if frames.state is not State.OPEN:
        raise PipeClosed("protocol", f"refused with {response.status_code}")
    return SocketPipe(secured, frames, peer=peer)


async def dialled(
    stream: SocketStream, context: ssl.SSLContext, *, url: str, name: str, lenient: bool
) -> SocketPipe:
    """Do the dialling end's handshakes.

    Args:
        stream: The connection.
        context: What to show and whom to trust.
        url: Where this is, ``wss://``.
        name: Which name the listener's certificate must have.
        lenient: Whether the context leaves dates unchecked.

    Raises:
        Shed: The listener turned us away before anything was said.
        NotYet: The listener's certificate does not hold yet.
        PipeClosed: The listener is another one, refuses us, or is none.
    """
    try:
        _tune(stream)
        secured = await TLSStream.wrap(
            stream, hostname=name, ssl_context=context, standard_compatible=False
        )
    except BROKEN as error:
        if isinstance(error.__cause__, ConnectionResetError):
            raise Shed("control has too much to do, or something between resets") from error
        cause = _cause(error)
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code == NOT_YET_VALID:
            raise NotYet("lost", _words(error)) from error
        raise PipeClosed("lost", _words(error)) from error
    try:
        frames = ClientProtocol(parse_uri(url), subprotocols=[SUBPROTOCOL], max_size=MOST_MESSAGE)
        frames.send_request(frames.connect())
        await secured.send(b"".join(frames.data_to_send()))
        response = await _first(secured, frames)
    except BROKEN as error:
        raise PipeClosed("lost", _words(error)) from error
    if isinstance(frames.handshake_exc, InvalidHandshake) or not isinstance(response, Response):
        raise PipeClosed("protocol", f"no session is served there: {frames.handshake_exc}")
    shown = secured.extra(TLSAttribute.peer_certificate)  # noqa: S610  anyio's, not Django's
    return SocketPipe(
        secured, frames, unchecked_us=validity_us(shown) if lenient and shown else None
    )


async def reset(stream: SocketStream) -> None:
    """Turn a connection away before it costs anything: the other end sees a reset."""
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


async def _first(
    stream: ByteStream, frames: ServerProtocol | ClientProtocol
) -> Request | Response | None:
    """Read until the handshake's message is there."""
    while frames.handshake_exc is None:
        for event in frames.events_received():
            if isinstance(event, Request | Response):
                return event
        try:
            frames.receive_data(await stream.receive(READ_BYTES))
        except anyio.EndOfStream:
            frames.receive_eof()
            return None
    return None


def _tune(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GIVE_UP_MS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _cause(error: BaseException) -> BaseException:
    """What the system or OpenSSL said, where they did."""
    return error if isinstance(error, OSError) else error.__cause__ or error


def _words(error: BaseException) -> str:
    """What went wrong, for people."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {(cause.reason or 'ended').lower().replace('_', ' ')}"
    if isinstance(cause, anyio.EndOfStream):
        return "the other end hung up"
    return (
        (isinstance(cause, OSError) and cause.strerror) or str(cause) or "the connection was lost"
    )
