"""Carrier: sessions' connections over TCP, TLS and WebSocket."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
from anyio.abc import SocketStream
from websockets.uri import parse_uri

from littoral.app.link.gate import Gate
from littoral.app.link.proxy import connected
from littoral.app.link.socket import PATH, NotYet, SocketPipe, accepted, dialled, reset
from littoral.app.link.tls import client_context, server_context, show
from littoral.domain.link import Shown
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import ChannelClosed, Clock
from littoral.domain.units import Seconds

CONNECT_S: Final = Seconds(10.0)
"""How long a name, a connection and its handshakes may take together."""
BACKLOG: Final = 4096
FRESH_S: Final = Seconds(6 * 3600.0)
"""How often a listener asks for what it shows: certificates live for a day or longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierParts:
    """What connections of sessions need of the world.

    ``shown`` is asked anew for each connection that is dialled, and from time to time by a
    listener; ``name`` is what the listener's certificate must be for; ``lenient`` says whether this
    host's clock is so wrong that dates of certificates are to be compared later, and is None where
    nobody tells the time later; ``proxy`` is what connections are dialled through, empty for none.
    """

    shown: Callable[[], Awaitable[Shown]]
    clock: Clock
    name: str
    lenient: Callable[[], bool] | None = None
    proxy: str = ""


class SocketCarrier:
    """Dials and accepts; credentials are read anew for each connection that is dialled.

    Args:
        parts: The world.
    """

    def __init__(self, parts: CarrierParts) -> None:
        self._parts = parts
        self._made: tuple[tuple[Shown, bool], ssl.SSLContext] | None = None
        self.gate = Gate()

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Pipe]:
        """Open a connection to ``wss://host:port``."""
        try:
            with anyio.fail_after(CONNECT_S):
                pipe = await self._open(address)
        except TimeoutError:
            raise ChannelClosed(f"{address} does not answer within {CONNECT_S:.0f} s") from None
        except PipeClosed as error:
            raise PipeClosed(error.reason, f"{address}: {error}") from error
        except OSError as error:
            raise ChannelClosed(f"{address}: {error}") from error
        try:
            yield pipe
        finally:
            await pipe.close("closed")

    async def _open(self, address: str) -> SocketPipe:
        """Dial; once more with dates left for later, where ours seems to be before the listener's.

        A certificate that seems to have ended is refused: an old key may be in other hands.
        """
        may = self._parts.lenient
        if may is None:
            return await self._secured(address, lenient=False)
        try:
            return await self._secured(address, lenient=may())
        except NotYet:
            return await self._secured(address, lenient=True)

    async def _secured(self, address: str, *, lenient: bool) -> SocketPipe:
        parts, place = self._parts, parse_uri(address)
        context = self._context(await parts.shown(), lenient=lenient)
        stream = await connected(place.host, place.port, proxy=parts.proxy)
        try:
            url = f"{address.rstrip('/')}{PATH}"
            return await dialled(stream, context, url=url, name=parts.name, lenient=lenient)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise

    def _context(self, own: Shown, *, lenient: bool) -> ssl.SSLContext:
        """What to dial with, made anew only where what is shown is new: the key goes by a file."""
        if self._made is None or self._made[0] != (own, lenient):
            self._made = (own, lenient), client_context(own, lenient=lenient)
        return self._made[1]

    @asynccontextmanager
    async def listen(
        self, address: str, handler: Callable[[Pipe], Awaitable[None]]
    ) -> AsyncGenerator[None]:
        """Serve each connection at ``wss://host:port`` until the context ends."""
        place, context = parse_uri(address), server_context(await self._parts.shown())
        listener = await anyio.create_tcp_listener(
            local_host=place.host, local_port=place.port, backlog=BACKLOG
        )
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, partial(self._serve, context, handler))
            group.start_soon(self._refresh, context)
            try:
                yield
            finally:
                group.cancel_scope.cancel()

    async def _refresh(self, context: ssl.SSLContext) -> None:
        """Show a newer certificate in time."""
        while True:
            await anyio.sleep(FRESH_S)
            show(context, await self._parts.shown())

    async def _serve(
        self,
        context: ssl.SSLContext,
        handler: Callable[[Pipe], Awaitable[None]],
        stream: SocketStream,
    ) -> None:
        if not self.gate.enter():
            await reset(stream)
            return
        try:
            pipe = await _shaken(stream, context)
        finally:
            self.gate.leave(self._parts.clock.now())
        if pipe is not None:
            try:
                await handler(pipe)
            finally:
                await pipe.close("closed")


async def _shaken(stream: SocketStream, context: ssl.SSLContext) -> SocketPipe | None:
    """A connection after its handshakes; None, and closed, where they failed."""
    try:
        with anyio.fail_after(CONNECT_S):
            return await accepted(stream, context)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, PipeClosed | TimeoutError):
            return None  # it was told what could be told
        raise
