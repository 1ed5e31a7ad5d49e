"""Nodes that dial each other: whom they take for whom, by certificate."""

import socket

import anyio
import pytest

from authorities import Cluster
from littoral.app.link.remote import between_nodes
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.ids import NodeId
from littoral.domain.link import Shown
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Beat

pytestmark = pytest.mark.anyio
A, B = NodeId("nd_" + "a" * 26), NodeId("nd_" + "b" * 26)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(now=SystemClock().wall())


def networks(cluster: Cluster, node: NodeId):
    chain, key = cluster.node(node)

    async def shown() -> Shown:
        return Shown(chain=chain, key=key, roots=cluster.root)

    return between_nodes(
        shown,
        cluster=cluster.name,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        failpoints=SystemFailpoints(),
    )


def free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"wss://127.0.0.1:{probe.getsockname()[1]}"


class Door:
    """Node B's listener, and who came in."""

    def __init__(self, cluster: Cluster, *, refusal: str = "") -> None:
        self.url = free_url()
        self.came: list[NodeId | None] = []
        self._network = networks(cluster, B)[1](lambda _peer: refusal)

    def open(self):
        return self._network.listen(self.url, self._serve)

    async def _serve(self, channel) -> None:
        self.came.append(channel.peer)
        await channel.send(await channel.receive())


async def speaks(towards, url: str) -> bool:
    """Whether a channel can be opened, and carries a frame."""
    try:
        with anyio.fail_after(10):
            async with towards.dial(url) as channel:
                await channel.send(Beat(number=1))
                return await channel.receive() == Beat(number=1)
    except* (ChannelClosed, TimeoutError):
        pass
    return False


async def test_a_node_takes_exactly_the_node_that_it_dials(cluster):
    door, (towards, _) = Door(cluster), networks(cluster, A)
    async with door.open():
        assert await speaks(towards(B), door.url)
        assert door.came == [A]
        assert not await speaks(towards(NodeId("nd_" + "c" * 26)), door.url)


async def test_a_node_of_another_cluster_is_neither_let_in_nor_believed(cluster):
    other = Cluster(name="cl_" + "z" * 26, seed=9, now=cluster.now)
    door, (towards, _) = Door(cluster), networks(other, A)
    async with door.open():
        assert not await speaks(towards(B), door.url)
    assert door.came == []


async def test_a_node_that_is_turned_away_gets_no_channel(cluster):
    door, (towards, _) = Door(cluster, refusal="it was revoked"), networks(cluster, A)
    async with door.open():
        assert not await speaks(towards(B), door.url)
    assert door.came == []
