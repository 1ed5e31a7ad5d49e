"""Tubes: the admin API of control at a node elsewhere, byte for byte over the node's session.

A node listens where the API listens beside control; each connection there is one stream, and
control's end of it is one connection to the API. Keys are checked by the API, as everywhere.
"""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias, final

import anyio
from anyio.abc import ByteStream, SocketStream, TaskGroup

from littoral.app.unix import UnixStream, connect
from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId, RequestId
from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import CHUNK, MOST_STREAMS, CallHead, Inward, Outward, ReplyHead
from littoral.domain.switch import Streamed

Send: TypeAlias = Callable[[Streamed], object]
CONTROL: Final = NodeId("control")
_HEAD: Final = CallHead(
    to=CONTROL,
    origin=CONTROL,
    kind="admin",
    path="",
    request=RequestId(""),
    project=ProjectId(""),
    key=KeyId(""),
    deployment=DeploymentName(""),
    model="",
    size=0,
)
_LOST: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@final
class Tube:
    """One connection and the stream that it goes on in.

    Args:
        stream: The stream's number.
        send: Sends a frame of it.
    """

    def __init__(self, stream: int, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._inward, self._outward = Inward(), Outward()
        self._come: list[bytes] = []
        self._changed, self._allowed = anyio.Event(), anyio.Event()
        self._over = False

    def heard(self, frame: Data | Reset | Credit) -> None:
        """A frame of the stream came."""
        match frame:
            case Credit():
                self._outward.allow(frame.upto)
                self._allowed.set()
            case Data() if self._inward.take(len(frame.body)):
                self._come.append(frame.body)
                self._over = frame.fin
            case _:
                self._over = True
        self._changed.set()

    async def run(self, pipe: ByteStream) -> None:
        """Carry bytes both ways until either end is over; the connection is closed then."""
        async with pipe, anyio.create_task_group() as group:
            group.start_soon(self._upwards, pipe, group.cancel_scope)
            with suppress(*_LOST):
                await self._downwards(pipe)
            group.cancel_scope.cancel()
        if not self._outward.ended and not self._over:
            self._send(Reset(stream=self._stream, code="cancelled"))

    async def _downwards(self, pipe: ByteStream) -> None:
        while True:
            changed = self._changed = anyio.Event()
            come, self._come = self._come, []
            for data in come:
                await pipe.send(data)
            self._flush()
            if self._come:
                continue
            if self._over:
                return
            await changed.wait()

    async def _upwards(self, pipe: ByteStream, scope: anyio.CancelScope) -> None:
        """Read no further than what waits has gone."""
        with suppress(*_LOST, anyio.EndOfStream):
            while True:
                data = await pipe.receive(CHUNK)
                self._outward.put(data)
                self._flush()
                while self._outward.waiting:
                    allowed = self._allowed = anyio.Event()
                    await allowed.wait()
                    self._flush()
        self._outward.put(b"", last=True)
        self._flush()
        scope.cancel()

    def _flush(self) -> None:
        for body, last in self._outward.pieces():
            head = ReplyHead(status=200) if last else None
            self._send(Data(stream=self._stream, body=body, fin=last, head=head))
        upto = self._inward.grant()
        if upto:
            self._send(Credit(stream=self._stream, upto=upto))


class Tubes:
    """The tubes of one process."""

    def __init__(self) -> None:
        self._open: dict[int, Tube] = {}
        self._group: TaskGroup | None = None

    def heard(self, frame: Streamed) -> None:
        """A frame of one of its streams came; a late one is nobody's."""
        if isinstance(frame, Open):
            self._opened(frame)
        elif frame.stream in self._open:
            self._open[frame.stream].heard(frame)

    async def run(self, send: Send) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as self._group:
            await self._serve(send)

    @abstractmethod
    async def _serve(self, send: Send) -> None:
        """Open what is to be open, until cancelled."""

    def _opened(self, opened: Open) -> None:
        """A stream was opened from the other side; most nodes have nothing for it."""
        del opened

    def _new(self, stream: int, send: Send) -> Tube:
        tube = self._open[stream] = Tube(stream, send)
        return tube

    def _drop(self, stream: int) -> None:
        self._open.pop(stream, None)


@final
class Doorway(Tubes):
    """A node's end: listens on a socket of its own user.

    Args:
        path: Of the socket.
        most: Connections that it carries at one time.
    """

    def __init__(self, path: str, *, most: int = MOST_STREAMS) -> None:
        super().__init__()
        self._path = path
        self._most = most
        self._next = 1

    async def _serve(self, send: Send) -> None:
        await anyio.Path(self._path).unlink(missing_ok=True)

        async def enter(pipe: SocketStream) -> None:
            stream, self._next = self._next, self._next + 2
            if len(self._open) >= self._most:
                await pipe.aclose()
                return
            tube = self._new(stream, send)
            send(Open(stream=stream, head=_HEAD))
            try:
                await tube.run(UnixStream(pipe))
            finally:
                self._drop(stream)

        async with await anyio.create_unix_listener(self._path, mode=0o600) as listener:
            await listener.serve(enter)


@final
class Hatch(Tubes):
    """Control's end: each stream is a connection to its API.

    Args:
        path: Of the API's socket.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._send: Send | None = None

    async def _serve(self, send: Send) -> None:
        self._send = send
        await anyio.sleep_forever()

    def _opened(self, opened: Open) -> None:
        if self._group is not None and self._send is not None:
            tube = self._new(opened.stream, self._send)
            self._group.start_soon(self._dial, tube, opened.stream, self._send)

    async def _dial(self, tube: Tube, stream: int, send: Send) -> None:
        try:
            await tube.run(await connect(self._path))
        except OSError:
            send(Reset(stream=stream, code="session_lost", message="control's API is closed"))
        finally:
            self._drop(stream)
