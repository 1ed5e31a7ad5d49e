"""Unix sockets as streams of bytes whose waits may be cancelled at any moment.

Streams of anyio wait for a future that the loop itself completes: cancelled in the very turn in
which bytes come, it is completed all the same, and the loop logs a state that is invalid. So these
wait for the socket only, and read and write it themselves.
"""

import socket
from typing import final

import anyio
from anyio import lowlevel
from anyio.abc import ByteStream, SocketAttribute, SocketStream

CHUNK = 65_536


@final
class UnixStream(ByteStream):
    """One end of a connection; it owns the stream of anyio that it is made of.

    Args:
        stream: Connected; nobody else reads or writes it from now on.
    """

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
        self._closed = False

    @property
    def raw(self) -> socket.socket:
        """The socket."""
        return self._raw

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """Return what has come, at least one byte, once something has.

        Raises:
            EndOfStream: The peer sends no more.
            ClosedResourceError: This end is closed.
            BrokenResourceError: The connection is broken.
        """
        await lowlevel.checkpoint()
        while True:
            try:
                data = self._raw.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._raw)
            except OSError as error:
                raise self._fault() from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        """Send all of it; where this is cancelled, perhaps a part.

        Raises:
            ClosedResourceError: This end is closed.
            BrokenResourceError: The connection is broken.
        """
        await lowlevel.checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._raw.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._raw)
            except OSError as error:
                raise self._fault() from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        await lowlevel.checkpoint()
        self._raw.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it, and end waits of others; safe to call twice."""
        if not self._closed:
            self._closed = True
            anyio.notify_closing(self._raw)
        await self._stream.aclose()

    def _fault(self) -> Exception:
        return anyio.ClosedResourceError() if self._closed else anyio.BrokenResourceError()


async def connect(path: str) -> UnixStream:
    """Connect to a listener.

    Raises:
        OSError: Nobody listens there.
    """
    return UnixStream(await anyio.connect_unix(path))


async def adopted(end: socket.socket) -> UnixStream:
    """Make a stream of a connected socket, such as one end of a socket pair."""
    return UnixStream(await anyio.abc.UNIXSocketStream.from_socket(end))
