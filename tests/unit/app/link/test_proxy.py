"""Control reached through a proxy: a real one, that speaks CONNECT and nothing else."""

import ssl
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from cluster import Cluster
from littoral.app.download import HttpsDownloads
from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.proxy import connected
from littoral.app.system import SystemClock
from littoral.client.registrar import HttpRegistrar
from littoral.domain.delivery import Cut
from littoral.domain.errors import ControlUnreachable
from littoral.domain.link import Shown
from littoral.domain.pipe import PipeClosed
from littoral.domain.ports import ChannelClosed

pytestmark = pytest.mark.anyio
GOOD = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def port_of(listener) -> int:
    return listener.listeners[0].extra(SocketAttribute.local_port)  # noqa: S610  anyio's, not Django's


class Proxy:
    """Answers CONNECT, as told, and then passes bytes on."""

    def __init__(self, answer: bytes = GOOD) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://us%40er:pass@127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self):
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        self.port = port_of(listener)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            yield self
            group.cancel_scope.cancel()

    async def _serve(self, near: SocketStream) -> None:
        async with near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await near.receive()
            self.heads.append(head)
            await near.send(self.answer)
            if self.answer != GOOD:
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            far = await anyio.connect_tcp(host, int(port))
            async with far, anyio.create_task_group() as group:
                group.start_soon(_copy, near, far)
                await _copy(far, near)
                group.cancel_scope.cancel()


async def _copy(one: SocketStream, other: SocketStream) -> None:
    try:
        async for data in one:
            await other.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


def carrier(shown: Shown, *, proxy: str = "") -> SocketCarrier:
    async def told() -> Shown:
        return shown

    name = "control.test.internal"
    return SocketCarrier(CarrierParts(shown=told, clock=SystemClock(), name=name, proxy=proxy))


@asynccontextmanager
async def control(cluster: Cluster, port: int):
    async def echo(pipe) -> None:
        await pipe.send(await pipe.receive())

    async with carrier(cluster.control()).listen(f"wss://127.0.0.1:{port}", echo):
        yield


async def test_a_session_goes_through_the_proxy_with_its_certificates(unused_port):
    cluster, proxy = Cluster(), Proxy()
    async with control(cluster, unused_port), proxy.open():
        near = carrier(cluster.node("nd_1"), proxy=proxy.url)
        async with near.dial(f"wss://127.0.0.1:{unused_port}") as pipe:
            await pipe.send(b"hello")
            assert await pipe.receive() == b"hello"
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT 127.0.0.1:{unused_port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNAZXI6cGFzcw==\r\n" in head


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refuses: 407"),
        (b"220 mail.example\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000, "no HTTP proxy"),
        (b"HTTP/1.1 200", "hung up"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_said_to_be_why(answer, why):
    async with Proxy(answer).open() as proxy:
        with pytest.raises(PipeClosed, match=why):
            await connected("10.0.0.1", 1, proxy=proxy.url)


async def test_a_session_says_that_the_proxy_refused():
    async with Proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n").open() as proxy:
        near = carrier(Cluster().node("nd_1"), proxy=proxy.url)
        with pytest.raises(ChannelClosed, match="refuses: 403"):
            async with near.dial("wss://127.0.0.1:9"):
                pass


async def test_an_address_of_version_six_is_named_in_brackets():
    async with Proxy(b"HTTP/1.1 502 No\r\n\r\n").open() as proxy:
        with pytest.raises(PipeClosed):
            await connected("::1", 8445, proxy=proxy.url)
    assert proxy.heads[0].startswith(b"CONNECT [::1]:8445 ")


async def test_downloads_and_joining_go_through_the_proxy_too():
    async with Proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n").open() as proxy:
        downloads = HttpsDownloads(ssl.create_default_context, name="c", proxy=proxy.url)
        with pytest.raises(Cut, match="403"):
            async with downloads.get("https://10.0.0.1:8444/b", begin=0, end=1):
                pass
        with pytest.raises(ControlUnreachable):
            await HttpRegistrar(proxy=proxy.url).authorities("https://10.0.0.1:8444")
    assert [head.split()[1] for head in proxy.heads] == [b"10.0.0.1:8444"] * 2


@pytest.fixture
async def unused_port():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener:
        return port_of(listener)
