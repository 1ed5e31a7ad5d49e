"""Channels over unix sockets: a 4-byte length, then the frame; only our own user may connect."""

import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from littoral.app.codec import MAX_FRAME, pack, unpack
from littoral.app.unix import UnixStream, adopted, connect
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Frame

LENGTH_BYTES = 4
UCRED_BYTES = 12
"""``struct ucred``: pid, uid, gid, each 4 bytes."""
CLOSED = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError, OSError)
ENDED = (*CLOSED, anyio.EndOfStream, anyio.IncompleteRead)


class SocketChannel:
    """One end of a connected stream socket.

    Args:
        stream: The connected socket; this channel owns it.
    """

    def __init__(self, stream: UnixStream) -> None:
        self._stream = stream
        self._buffered = BufferedByteReceiveStream(stream)
        self._turn = anyio.Lock()
        self._torn = False

    @property
    def peer(self) -> NodeId | None:
        """None: the same user, by the socket's credentials."""
        return None

    def link(self) -> LinkFacts | None:
        """None: there is no way between two processes of one host."""
        return None

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while the peer is slow."""
        data = pack(frame)
        async with self._turn:
            if self._torn:
                raise ChannelClosed("an earlier frame was cut off")
            self._torn = True
            try:
                await self._stream.send(len(data).to_bytes(LENGTH_BYTES) + data)
            except CLOSED as error:
                raise ChannelClosed("the peer is gone") from error
            self._torn = False

    async def receive(self) -> Frame:
        """The next frame; one that cannot be read ends the channel."""
        try:
            head = await self._buffered.receive_exactly(LENGTH_BYTES)
            length = min(int.from_bytes(head), MAX_FRAME + 1)  # one more: refused as too long
            return unpack(await self._buffered.receive_exactly(length))
        except Damaged as error:
            await self.close()
            raise ChannelClosed(error.message) from error
        except ENDED as error:
            raise ChannelClosed("the peer is gone") from error

    async def close(self) -> None:
        """End it; safe to call twice."""
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


class UnixNetwork:
    """Channels between processes of one user on one host; an address is a socket's path."""

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Channel]:
        """Open a channel to a listener."""
        try:
            channel = SocketChannel(await connect(address))
        except OSError as error:
            raise ChannelClosed(f"nobody listens at {address!r}") from error
        try:
            yield channel
        finally:
            await channel.close()

    @asynccontextmanager
    async def listen(
        self, address: str, handler: Callable[[Channel], Awaitable[None]]
    ) -> AsyncGenerator[None]:
        """Serve each new channel with ``handler`` in its own task until the context ends."""

        async def serve(accepted: SocketStream) -> None:
            stream = UnixStream(accepted)
            channel = SocketChannel(stream)
            try:
                if _peer_uid(stream.raw) == os.getuid():
                    await handler(channel)
            except* ChannelClosed:
                pass  # the peer left: its handler has nothing more to do
            finally:
                await channel.close()

        listener = await anyio.create_unix_listener(address, mode=0o600)
        try:
            async with listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, serve)
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.Path(address).unlink(missing_ok=True)


async def adopt(end: socket.socket) -> Channel:
    """Make a channel of a connected socket, such as one end of a socket pair."""
    return SocketChannel(await adopted(end))


def _peer_uid(raw: socket.socket) -> int:
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED_BYTES)
    return int.from_bytes(credentials[4:8], sys.byteorder)
