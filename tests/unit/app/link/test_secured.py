"""TLS of sessions over real sockets: whom both ends refuse, and what the refused one hears."""

import datetime as dt
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from cluster import NAME, Cluster, Span
from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.network import LinkNetwork, LinkParts
from littoral.app.link.tls import client_context, peer_of
from littoral.app.system import SystemClock
from littoral.domain.link import Shown
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import ChannelClosed, Shed
from littoral.testing.chance import SeededChance
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints

pytestmark = pytest.mark.anyio
PAST = Span(
    begin=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), end=dt.datetime(2020, 2, 1, tzinfo=dt.UTC)
)
FUTURE = Span(begin=dt.datetime(2090, 1, 1, tzinfo=dt.UTC))


@pytest.fixture
def anyio_backend():
    return "asyncio"


def carrier(shown: Shown, *, name: str = NAME, lenient: bool | None = False) -> SocketCarrier:
    async def told() -> Shown:
        return shown

    return SocketCarrier(
        CarrierParts(
            shown=told,
            clock=SystemClock(),
            name=name,
            lenient=None if lenient is None else lambda: lenient,
        )
    )


def free() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"wss://127.0.0.1:{found.getsockname()[1]}"


@asynccontextmanager
async def echoing(cluster: Cluster, span: Span | None = None):
    """A listener that sends each message back; its address, and who came."""
    address, pipes = free(), []
    listener = carrier(cluster.control(span))

    async def echo(pipe: Pipe) -> None:
        pipes.append(pipe)
        while True:
            try:
                await pipe.send(await pipe.receive())
            except PipeClosed:
                return

    async with listener.listen(address, echo):
        yield address, pipes, listener


def renewing(*shown: Shown) -> SocketCarrier:
    """One that shows the next certificate with each connection."""
    following = iter(shown)

    async def told() -> Shown:
        return next(following)

    return SocketCarrier(CarrierParts(shown=told, clock=SystemClock(), name=NAME))


def network(over: SocketCarrier) -> LinkNetwork:
    return LinkNetwork(
        LinkParts(
            carrier=over,
            clock=SystemClock(),
            chance=SeededChance(1),
            entropy=SeededEntropy(1),
            failpoints=ArmedFailpoints(),
        )
    )


async def speak(dialler: SocketCarrier, address: str) -> bytes:
    async with dialler.dial(address) as pipe:
        await pipe.send(b"hello")
        return await pipe.receive()


async def test_a_renewed_certificate_is_shown_with_the_next_connection():
    cluster = Cluster()
    old, new = cluster.node("nd_1"), cluster.node("nd_2")
    async with echoing(cluster) as (address, pipes, _listener):
        dialler = renewing(old, old, new)
        for _ in range(3):
            await speak(dialler, address)
        assert [pipe.peer.node for pipe in pipes] == ["nd_1", "nd_1", "nd_2"]


async def test_both_ends_of_one_cluster_speak():
    cluster = Cluster()
    async with echoing(cluster) as (address, pipes, _listener):
        assert await speak(carrier(cluster.node("nd_1")), address) == b"hello"
        assert pipes[0].peer.node == "nd_1"


REFUSED = {
    "a node of another authority": lambda ours, theirs: replace(
        theirs.node("nd_1"), roots=ours.node("nd_1").roots
    ),
    "a node that trusts another authority": lambda ours, theirs: replace(
        ours.node("nd_1"), roots=theirs.node("nd_1").roots
    ),
    "control's own certificate": lambda ours, _theirs: ours.control(),
}


@pytest.mark.parametrize("who", REFUSED)
async def test_who_has_no_good_certificate_gets_no_word_in(who):
    ours, theirs = Cluster(), Cluster("other")
    async with echoing(ours) as (address, pipes, _listener):
        with pytest.raises(ChannelClosed):
            await speak(carrier(REFUSED[who](ours, theirs)), address)
        assert pipes == []


async def test_no_certificate_at_all_gets_no_word_in():
    cluster = Cluster()
    async with echoing(cluster) as (address, pipes, _listener):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=cluster.control().roots)
        port = int(address.rpartition(":")[2])
        stream = await anyio.connect_tcp(
            "127.0.0.1", port, tls=True, ssl_context=context, tls_hostname=NAME
        )
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError)):
            await stream.receive()
        await anyio.aclose_forcefully(stream)
        assert pipes == []


async def test_a_listener_with_another_name_is_refused():
    cluster = Cluster()
    async with echoing(cluster) as (address, _pipes, _listener):
        with pytest.raises(ChannelClosed, match="certificate is refused"):
            await speak(carrier(cluster.node("nd_1"), name="other.test.internal"), address)


async def test_a_clock_that_is_wrong_leaves_the_dates_for_later_and_nothing_else():
    ours, theirs = Cluster(), Cluster("other")
    node = ours.node("nd_1")
    async with echoing(ours, PAST) as (address, _pipes, _listener):
        with pytest.raises(ChannelClosed, match="has expired"):
            await speak(carrier(node), address)
        lenient = carrier(node, lenient=True)
        async with lenient.dial(address) as pipe:
            assert pipe.unchecked_us is not None
            await pipe.send(b"hello")
            assert await pipe.receive() == b"hello"
        foreign = replace(node, roots=theirs.node("nd_1").roots)
        for wrong in (
            carrier(foreign, lenient=True),
            carrier(node, name="other.test.internal", lenient=True),
        ):
            with pytest.raises(ChannelClosed, match="certificate is refused"):
                await speak(wrong, address)


async def test_dates_that_have_not_begun_are_left_for_later_where_somebody_tells_the_time():
    """A clock that stood still since the last power-off is within the node's own dates."""
    ours = Cluster()
    node = ours.node("nd_1")
    async with echoing(ours, FUTURE) as (address, pipes, _listener):
        async with carrier(node).dial(address) as pipe:
            assert pipe.unchecked_us is not None
            await pipe.send(b"hello")
            assert await pipe.receive() == b"hello"
        with pytest.raises(ChannelClosed, match="not yet valid"):
            await speak(carrier(node, lenient=None), address)
        assert len(pipes) == 1


@pytest.mark.parametrize("span", [PAST, FUTURE])
async def test_whose_certificate_does_not_hold_gets_no_session_and_is_told_why(span):
    ours, address, served = Cluster(), free(), []

    async def serve(channel) -> None:
        served.append(channel)

    async with network(carrier(ours.control())).listen(address, serve):
        with pytest.raises(PipeClosed) as caught:
            async with network(carrier(ours.node("nd_1", span))).dial(address):
                pass
    assert (caught.value.reason, served) == ("certificate", [])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /node/v1/session HTTP/1.1\r\n{}", b"400"),
        ("GET /other HTTP/1.1\r\nSec-WebSocket-Protocol: littoral.session.1\r\n{}", b"404"),
        ("GET /node/v1/session HTTP/1.1\r\nSec-WebSocket-Protocol: other\r\n{}", b"400"),
    ],
)
async def test_what_is_no_session_is_refused_in_words(request_, status):
    cluster = Cluster()
    upgrade = (
        "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with echoing(cluster) as (address, pipes, _listener):
        port = int(address.rpartition(":")[2])
        context = client_context(cluster.node("nd_1"))
        stream = await anyio.connect_tcp(
            "127.0.0.1", port, tls=True, ssl_context=context, tls_hostname=NAME
        )
        await stream.send(request_.format(upgrade).encode())
        assert (await stream.receive()).split()[1] == status
        await anyio.aclose_forcefully(stream)
        assert pipes == []


async def test_older_versions_of_tls_are_refused():
    cluster = Cluster()
    async with echoing(cluster) as (address, _pipes, _listener):
        context = client_context(cluster.node("nd_1"))
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        port = int(address.rpartition(":")[2])
        with pytest.raises((ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream)):
            await anyio.connect_tcp(
                "127.0.0.1", port, tls=True, ssl_context=context, tls_hostname=NAME
            )


async def test_a_listener_that_has_too_much_to_do_resets_before_tls():
    cluster = Cluster()
    async with echoing(cluster) as (address, _pipes, listener):
        while listener.gate.enter():
            pass
        with pytest.raises(Shed):
            await speak(carrier(cluster.node("nd_1")), address)
        assert listener.gate.shed == 2
        listener.gate.leave(SystemClock().now())
        assert await speak(carrier(cluster.node("nd_1")), address) == b"hello"


@pytest.mark.parametrize("reason", ["revoked", "superseded", "certificate", "drained"])
async def test_the_reason_of_a_close_arrives(reason):
    cluster = Cluster()
    node = carrier(cluster.node("nd_1"))
    async with echoing(cluster) as (address, pipes, _listener), node.dial(address) as pipe:
        await pipe.send(b"hello")
        await pipe.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(pipes[0].close, reason, "because")
            with pytest.raises(PipeClosed, match="because") as raised:
                await pipe.receive()
        assert raised.value.reason == reason


async def test_a_message_over_the_limit_ends_its_connection_only():
    cluster = Cluster()
    async with echoing(cluster) as (address, _pipes, _listener):
        async with carrier(cluster.node("nd_1")).dial(address) as pipe:
            await pipe.send(b"x" * 70_000)
            with pytest.raises(PipeClosed):
                await pipe.receive()
        assert await speak(carrier(cluster.node("nd_1")), address) == b"hello"


async def test_nobody_there_is_said_with_the_address():
    address = free()
    with pytest.raises(ChannelClosed, match=address):
        await speak(carrier(Cluster().node("nd_1")), address)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (("DNS", "nd-1.nodes.test.internal"),),
        (("URI", "spiffe://test/node/nd_1"), ("URI", "spiffe://test/node/nd_2")),
        (("URI", "spiffe://test/node/../control"),),
        (("URI", "https://test/node/nd_1"),),
    ],
)
def test_a_certificate_that_names_no_single_node_names_nobody(names):
    shown = {
        "subjectAltName": names,
        "serialNumber": "0A",
        "notBefore": "Jan  1 00:00:00 2026 GMT",
        "notAfter": "Jan  2 00:00:00 2026 GMT",
    }
    assert peer_of(shown) is None
    good = peer_of(shown | {"subjectAltName": (("URI", "spiffe://test/node/nd_1"),)})
    assert good is not None
    assert (good.node, good.serial) == ("nd_1", "a")
    assert peer_of(None) is None
