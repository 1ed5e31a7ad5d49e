"""What every Channel and Network does; add an adapter to ``networks`` to run the suite on it."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from cluster import NAME, Cluster
from littoral.app.channel import UnixNetwork
from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.network import LinkNetwork, LinkParts
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.ids import NodeId
from littoral.domain.link import Shown
from littoral.domain.outbox import Mark
from littoral.domain.pipe import Carrier
from littoral.domain.ports import Channel, ChannelClosed, Network
from littoral.domain.session import Beat, Frame, Goodbye, Hello, Stored
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.chance import SeededChance
from littoral.testing.entropy import SeededEntropy
from littoral.testing.network import MemoryNetwork


def linked(carrier: Carrier) -> LinkNetwork:
    clock = SystemClock()
    return LinkNetwork(
        LinkParts(
            carrier=carrier,
            clock=clock,
            chance=SeededChance(1),
            entropy=SystemEntropy(),
            failpoints=SystemFailpoints(),
        )
    )


class SecuredNetwork:
    """Both ends of one cluster, each with its own certificate."""

    def __init__(self) -> None:
        cluster = Cluster()
        self._far = linked(self.carrier(cluster.control()))
        self._near = linked(self.carrier(cluster.node("nd_1")))
        self.listen, self.dial = self._far.listen, self._near.dial

    @staticmethod
    def carrier(shown: Shown) -> SocketCarrier:
        async def told() -> Shown:
            return shown

        return SocketCarrier(CarrierParts(shown=told, clock=SystemClock(), name=NAME))


NETWORKS: dict[str, Callable[[], Network]] = {
    "linked": lambda: linked(MemoryCarrier()),
    "memory": MemoryNetwork,
    "secured": SecuredNetwork,
    "unix": UnixNetwork,
}

HELLO = Hello(
    protocol=1,
    node=NodeId("nd_1"),
    name="here",
    boot="b",
    build="0",
    outbox="o",
    snapshot=(0, 0),
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]()


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.node.callspec.params["network"] != "secured":
        return str(tmp_path / "s.sock")
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"wss://127.0.0.1:{free.getsockname()[1]}"


class Peer:
    """Keeps what the listening end received."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ended = anyio.Event()

    async def __call__(self, channel: Channel) -> None:
        try:
            while True:
                self.frames.append(await channel.receive())
        except ChannelClosed:
            self.ended.set()


async def flood(channel: Channel) -> None:
    for number in range(100_000):
        await channel.send(Beat(number=number))


@asynccontextmanager
async def both_ends(network: Network, address: str):
    """A dialled channel and the listener's end of it."""
    ends: list[Channel] = []
    there = anyio.Event()
    over = anyio.Event()

    async def handler(channel: Channel) -> None:
        ends.append(channel)
        there.set()
        await over.wait()

    async with network.listen(address, handler), network.dial(address) as near:
        await near.send(HELLO)
        await there.wait()
        assert await ends[0].receive() == HELLO
        yield near, ends[0]
        over.set()


pytestmark = pytest.mark.anyio


async def test_frames_arrive_in_the_order_they_were_sent(network: Network, address: str):
    peer = Peer()
    async with network.listen(address, peer):
        async with network.dial(address) as channel:
            await channel.send(HELLO)
            for number in range(20):
                await channel.send(Beat(number=number))
        await peer.ended.wait()
    assert peer.frames == [HELLO, *(Beat(number=number) for number in range(20))]


async def test_both_ends_can_speak(network: Network, address: str):
    async with both_ends(network, address) as (near, far):
        stored = Stored(outbox="o", lane="event", mark=Mark(seq=7, mac=b"\x00\xff"))
        await far.send(stored)
        assert await near.receive() == stored


async def test_receiving_after_the_peer_closed_says_closed(network: Network, address: str):
    async with both_ends(network, address) as (near, far):
        await far.send(Goodbye(code="drained"))
        await far.close()
        assert await near.receive() == Goodbye(code="drained")
        with pytest.raises(ChannelClosed):
            await near.receive()


async def test_sending_to_a_closed_peer_says_closed(network: Network, address: str):
    async with both_ends(network, address) as (near, far):
        await far.close()
        with pytest.raises(ChannelClosed):
            await flood(near)


async def test_closing_twice_is_safe(network: Network, address: str):
    async with both_ends(network, address) as (near, _far):
        await near.close()
        await near.close()


async def test_a_slow_reader_makes_the_sender_wait(network: Network, address: str):
    async with both_ends(network, address) as (near, far):
        sent: list[int] = []
        big = Hello(
            protocol=1,
            node=NodeId("n"),
            name=SeededEntropy().bytes(32768).hex(),
            boot="b",
            build="0",
            outbox="o",
            snapshot=(0, 0),
        )

        async def send_all() -> None:
            for number in range(200):
                await near.send(big)
                sent.append(number)

        async with anyio.create_task_group() as group:
            group.start_soon(send_all)
            await anyio.wait_all_tasks_blocked()
            assert len(sent) < 200
            for _ in range(200):
                assert await far.receive() == big
        assert len(sent) == 200


async def test_dialling_where_nobody_listens_says_closed(network: Network, address: str):
    with pytest.raises(ChannelClosed):
        async with network.dial(address):
            pass


async def test_two_dialled_channels_are_apart(network: Network, address: str):
    seen: dict[str, list[Frame]] = {}

    async def handler(channel: Channel) -> None:
        hello = await channel.receive()
        assert isinstance(hello, Hello)
        seen[hello.name] = [hello]
        await channel.send(Goodbye(code=hello.name))

    async with (
        network.listen(address, handler),
        network.dial(address) as one,
        network.dial(address) as two,
    ):
        await one.send(HELLO)
        await two.send(
            Hello(**{name: getattr(HELLO, name) for name in HELLO.__slots__} | {"name": "other"})
        )
        assert await one.receive() == Goodbye(code="here")
        assert await two.receive() == Goodbye(code="other")


async def test_leaving_the_listener_frees_the_address(network: Network, address: str):
    listening: AbstractAsyncContextManager[None] = network.listen(address, Peer())
    async with listening:
        pass
    with pytest.raises(ChannelClosed):
        async with network.dial(address):
            pass
    async with network.listen(address, Peer()):
        pass
