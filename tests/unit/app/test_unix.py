"""Unix sockets: bytes both ways, and waits that are cancelled in the turn in which bytes come."""

import logging
import socket
from collections.abc import AsyncGenerator

import anyio
import pytest

from littoral.app.unix import UnixStream, adopted, connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def ends() -> AsyncGenerator[tuple[UnixStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    stream = await adopted(ours)
    with theirs:
        yield stream, theirs
        await stream.aclose()


async def test_a_wait_cancelled_in_the_turn_in_which_bytes_come_logs_nothing(ends, caplog) -> None:
    stream, far = ends
    with caplog.at_level(logging.ERROR):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.receive)
            await anyio.wait_all_tasks_blocked()
            far.sendall(b"late")
            await anyio.lowlevel.checkpoint()  # the loop has seen them, the reader has not
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
    assert caplog.messages == []
    assert await stream.receive() == b"late"


async def test_what_does_not_fit_is_sent_when_it_does(ends) -> None:
    stream, far = ends
    sent = b"0123456789" * 200_000
    got = bytearray()
    async with anyio.create_task_group() as group:
        group.start_soon(stream.send, sent)
        await anyio.wait_all_tasks_blocked()
        far.settimeout(0.0)
        while len(got) < len(sent):
            await anyio.wait_readable(far)
            got += far.recv(1 << 20)
    assert got == sent


async def test_the_end_of_the_peer_is_the_end_of_the_stream(ends) -> None:
    stream, far = ends
    await stream.send_eof()
    assert far.recv(1) == b""
    far.close()
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await stream.send(b"x")


async def test_closing_ends_a_wait_and_what_comes_after(ends) -> None:
    stream, _far = ends

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
    await stream.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send(b"x")


async def test_nobody_listening_is_an_error_of_the_system(tmp_path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await connect(str(tmp_path / "none.sock"))
