"""What strangers may send to the listener of nodes: so much, and within so long."""

import anyio
import pytest
from uvicorn.server import ServerState

from littoral.control.entrance import MOST_BYTES, WITHIN_S, Entrance
from littoral.control.listener import config
from littoral.testing.loop import simulate

HEAD = b"POST /join HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
TRAILERS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "


class Peer:
    """The other end: keeps what is answered."""

    def __init__(self):
        self.heard = b""
        self.closed = False

    def write(self, data):
        self.heard += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def get_extra_info(self, name):
        del name

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def told(scope, receive, send):
    """An app that reads the body, and says its length."""
    assert scope["type"] == "http"
    length, more = 0, True
    while more:
        got = await receive()
        length, more = length + len(got.get("body", b"")), got.get("more_body", False)
    said = str(length).encode()
    head = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": said})


def played(play):
    """A connection, on virtual time."""

    async def main():
        entrance, peer = Entrance(config(told), ServerState(), {}), Peer()
        entrance.connection_made(peer)
        await play(entrance, peer)
        if not peer.closed:
            entrance.connection_lost(None)

    simulate(main)


def test_a_request_is_answered_and_so_are_the_next_ones():
    async def play(entrance, peer):
        body = b"a" * (MOST_BYTES // 2)
        head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
        for count in (1, 2, 3):
            entrance.data_received(head + body)
            await anyio.sleep(1.0)
            assert peer.heard.count(b"200 OK") == count
        assert not peer.closed

    played(play)


@pytest.mark.parametrize("begun", [HEAD + b"X: ", TRAILERS])
def test_headers_and_trailers_are_not_kept_without_end(begun):
    async def play(entrance, peer):
        entrance.data_received(begun)
        for _ in range(MOST_BYTES // 4096):
            entrance.data_received(b"a" * 4096)
        assert peer.closed

    played(play)


@pytest.mark.parametrize("begun", [b"", b"POST /jo", HEAD])
def test_who_does_not_come_to_the_point_is_left(begun):
    async def play(entrance, peer):
        if begun:
            entrance.data_received(begun)
        await anyio.sleep(WITHIN_S - 1.0)
        assert not peer.closed
        await anyio.sleep(2.0)
        assert peer.closed

    played(play)


def test_blank_lines_between_requests_keep_no_connection():
    async def play(entrance, peer):
        entrance.data_received(WHOLE)
        for _ in range(int(WITHIN_S)):
            await anyio.sleep(1.0)
            entrance.data_received(b"\r\n")
        await anyio.sleep(2.0)
        assert peer.closed

    played(play)


def test_an_answer_that_takes_long_is_waited_for():
    async def slow(scope, receive, send):
        await anyio.sleep(2 * WITHIN_S)
        await told(scope, receive, send)

    async def main():
        entrance, peer = Entrance(config(slow), ServerState(), {}), Peer()
        entrance.connection_made(peer)
        entrance.data_received(WHOLE)
        await anyio.sleep(2 * WITHIN_S + 1.0)
        assert b"200 OK" in peer.heard
        assert not peer.closed
        entrance.connection_lost(None)

    simulate(main)
