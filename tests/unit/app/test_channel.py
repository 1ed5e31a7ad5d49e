"""What a unix socket may not do to us; the rest is in the contract suite."""

import os
import socket
import stat
from pathlib import Path

import anyio
import pytest

from littoral.app.channel import UnixNetwork, adopt
from littoral.app.codec import MAX_FRAME, pack
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Freed, Goodbye

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    "data",
    [
        (MAX_FRAME + 1).to_bytes(4),
        b"\x00\x00\x00\x03abc",
        b"\x00\x00\x00\x09abc",
        b"\x00",
    ],
)
async def test_bytes_that_are_no_frame_end_the_channel(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = await adopt(ours)
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelClosed):
        await channel.receive()
    await channel.close()
    theirs.close()


async def test_frames_that_come_in_pieces_are_put_together() -> None:
    ours, theirs = socket.socketpair()
    channel = await adopt(ours)
    data = pack(Freed(slots=(1, 2)))
    whole = len(data).to_bytes(4) + data
    theirs.sendall(whole[:3])
    await anyio.lowlevel.checkpoint()
    theirs.sendall(whole[3:] + whole)
    assert await channel.receive() == Freed(slots=(1, 2))
    assert await channel.receive() == Freed(slots=(1, 2))
    await channel.close()
    theirs.close()


async def test_a_frame_cut_off_by_cancellation_ends_the_channel() -> None:
    ours, theirs = socket.socketpair()
    channel = await adopt(ours)
    with anyio.move_on_after(0.01):
        await channel.send(Goodbye(code="x" * 8_000_000))
    with pytest.raises(ChannelClosed, match="cut off"):
        await channel.send(Goodbye(code="y"))
    await channel.close()
    theirs.close()


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async def handler(channel: Channel) -> None:
        await channel.receive()

    path = tmp_path / "s.sock"
    async with UnixNetwork().listen(str(path), handler):
        mode = path.stat()
        assert stat.S_IMODE(mode.st_mode) == 0o600
        assert mode.st_uid == os.getuid()
    assert not path.exists()
