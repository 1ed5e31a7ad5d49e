"""Nodes that reach each other without control: who dials whom, what is used, and what is not."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import pytest

from links import network, peer
from littoral.domain.delivery import Cut
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import DeploymentName, Digest, EndpointId, NodeId
from littoral.domain.neighbour import SCHEME
from littoral.domain.ports import Failpoints
from littoral.domain.reach import HOME, Spot
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.board import Board
from littoral.node.peers import FILE, Peering, PeerParts, Peers
from littoral.node.pieces import NearDownloads
from littoral.node.relay import Relay
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.chance import SeededChance
from littoral.testing.disk import MemoryDisk
from littoral.testing.downloads import MemoryDownloads
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.sink import ListSink

QUAY = Spot(site="quay", tier="edge")
A, B = NodeId("nd_a"), NodeId("nd_b")
DIGEST = Digest("sha256:" + "ab" * 32)


def engine(node: NodeId) -> Endpoint:
    return Endpoint(
        id=EndpointId(f"e_{node}"),
        deployment=DeploymentName("d"),
        serves="m",
        engine="fake",
        state="ready",
    )


async def nothing(_address: str, _begin: int, _end: int) -> int:
    return 404


@dataclass
class Node:
    """One node's peers and what they show."""

    id: NodeId
    land: "Land"
    listens: bool
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    sink: ListSink = field(default_factory=ListSink)
    failpoints: Failpoints = field(default_factory=ArmedFailpoints)

    def __post_init__(self) -> None:
        self.carrier = MemoryCarrier(peer=peer(self.id), beside=self.land.town)
        self.beyond = MemoryDownloads(nothing)
        self.make()

    def make(self) -> None:
        """What a process has at its start."""
        clock = LoopClock()
        self.board = Board(clock=clock, sink=self.sink, report=lambda _pids: None)
        self.board.put_endpoint(engine(self.id))
        door = f"{self.id}:1" if self.listens else ""
        self.peers = Peers(
            PeerParts(
                me=self.id,
                peering=Peering(
                    towards=lambda _node: network(self.carrier),
                    serving=lambda admit: network(self.carrier, 2, admit=admit),
                    listen=f"wss://{door}" if door else "",
                    address=door,
                ),
                relay=Relay(self.id),
                board=self.board,
                disk=self.disk,
                chance=SeededChance(3),
                failpoints=self.failpoints,
            )
        )
        self.downloads = NearDownloads(self.peers.ask, self.beyond)
        self.knows()

    def knows(self) -> None:
        """Take a snapshot that has the land's nodes."""
        snapshot = Snapshot(
            epoch=1,
            version=1,
            issued_us=Micros(0),
            node=self.id,
            pepper=b"",
            keys=(),
            assignments=(),
            neighbours=self.land.spots,
        )
        self.peers.swapped(snapshot)

    @property
    def near(self) -> dict[str, Endpoint]:
        frame = self.board.frames()[0]
        return {each.id: each for each in frame.endpoints if each.via is not None}

    async def fetch(self, node: NodeId, *, end: int, begin: int = 0) -> tuple[int, bytes]:
        address = f"{SCHEME}{node}/node/v1/blobs/{DIGEST}"
        async with self.downloads.get(address, begin=begin, end=end) as answer:
            return answer.status, b"".join([piece async for piece in answer.pieces])


class Land:
    """Nodes, and where they stand."""

    def __init__(self, **spots: Spot) -> None:
        self.town = MemoryCarrier()
        self.spots = {NodeId(node): spot for node, spot in spots.items()}
        self.nodes: dict[NodeId, Node] = {}

    def add(self, node: NodeId, *, listens: bool) -> Node:
        self.nodes[node] = Node(node, self, listens)
        return self.nodes[node]

    def tell(self) -> None:
        doors = {node.id: f"{node.id}:1" for node in self.nodes.values() if node.listens}
        for node in self.nodes.values():
            node.peers.hinted(doors)


def run(script: Callable, *, listening: str, silent: str = "", **spots: Spot) -> None:
    """Run all nodes while a script looks at them."""

    async def main() -> None:
        land = Land(**(spots or {A: QUAY, B: QUAY}))
        for name in sorted(land.spots):
            land.add(name, listens=name in listening.split())
        async with anyio.create_task_group() as group:
            for node in land.nodes.values():
                if node.id not in silent.split():
                    group.start_soon(node.peers.run)
            land.tell()
            await script(land)
            group.cancel_scope.cancel()

    simulate(main)


def test_who_listens_is_dialled_and_both_see_each_others_engines_with_the_round_trip():
    async def script(land: Land) -> None:
        for node in land.nodes.values():
            node.carrier.weather.delay_s = 0.004
        await anyio.sleep(20)
        (seen,) = land.nodes[B].near.values()
        assert (seen.id, seen.via.path) == ("e_nd_a@nd_a.peer", "peer")
        assert set(seen.via.within) == {"any", "site", "edge-only"}
        assert 0.007 < seen.via.rtt_s < 0.012
        (back,) = land.nodes[A].near.values()
        assert back.via.node == B

    run(script, listening=A)


def test_of_two_that_listen_one_dials():
    async def script(land: Land) -> None:
        await anyio.sleep(60)
        dialled = [len(node.carrier.dialled) for node in land.nodes.values()]
        assert dialled == [1, 0]
        assert land.nodes[A].near
        assert land.nodes[B].near

    run(script, listening=f"{A} {B}")


def test_where_the_first_to_dial_cannot_the_other_one_does():
    async def script(land: Land) -> None:
        land.nodes[A].carrier.down = True
        await anyio.sleep(60)
        assert land.nodes[A].near
        assert len(land.nodes[B].carrier.dialled) == 1

    run(script, listening=f"{A} {B}")


def test_a_way_leaves_use_when_nobody_answers_on_it_and_comes_back():
    async def script(land: Land) -> None:
        await anyio.sleep(10)
        assert land.nodes[B].near
        land.nodes[B].carrier.weather.silent = True
        await anyio.sleep(14)
        assert not land.nodes[B].near
        land.nodes[B].carrier.weather.silent = False
        await anyio.sleep(90)
        assert land.nodes[B].near

    run(script, listening=A)


def test_a_node_that_was_revoked_loses_its_channels_and_gets_no_other():
    async def script(land: Land) -> None:
        await anyio.sleep(10)
        del land.spots[B]
        land.nodes[A].knows()
        await anyio.sleep(1)
        assert not land.nodes[A].near
        await anyio.sleep(120)
        assert not land.nodes[A].near
        assert not land.nodes[B].near

    run(script, listening=A)


def test_a_revoked_node_that_listens_is_not_dialled_any_more():
    async def script(land: Land) -> None:
        await anyio.sleep(10)
        assert land.nodes[B].near
        del land.spots[A]
        land.nodes[B].knows()
        await anyio.sleep(1)
        assert not land.nodes[B].near
        await anyio.sleep(120)
        assert not land.nodes[B].near

    run(script, listening=A)


def test_a_node_that_starts_without_control_finds_its_neighbours_by_what_it_was_told_before():
    async def script(land: Land) -> None:
        other = Node(B, land, listens=False, disk=land.nodes[B].disk)
        async with anyio.create_task_group() as group:
            group.start_soon(other.peers.run)
            await anyio.sleep(20)
            assert other.near
            group.cancel_scope.cancel()

    run(script, listening=A, silent=B)


def test_a_node_that_is_one_again_at_once_is_dialled_again():
    async def script(land: Land) -> None:
        await anyio.sleep(10)
        spot = land.spots.pop(A)
        land.nodes[B].knows()
        await anyio.lowlevel.checkpoint()
        land.spots[A] = spot
        land.nodes[B].knows()
        await anyio.sleep(60)
        assert land.nodes[B].near

    run(script, listening=A)


def test_a_full_disk_keeps_nobody_from_knowing_where_others_listen():
    async def script(land: Land) -> None:
        other = Node(B, land, listens=False)
        other.disk.full = True
        other.peers.hinted({A: f"{A}:1"})
        async with anyio.create_task_group() as group:
            group.start_soon(other.peers.run)
            await anyio.sleep(20)
            assert other.near
            group.cancel_scope.cancel()

    run(script, listening=A, silent=B)


def test_a_damaged_list_of_neighbours_is_no_list():
    for content in (b"not json", b"[1]", b'{"nd": 3}'):
        disk = MemoryDisk()
        disk.write(FILE, content)
        node = Node(A, Land(nd_a=QUAY), listens=False, disk=disk)
        assert not node.near


def test_private_addresses_of_another_site_are_not_dialled():
    async def script(land: Land) -> None:
        await anyio.sleep(60)
        assert land.nodes[B].carrier.dialled == []

    run(script, listening=A, nd_a=QUAY, nd_b=replace(QUAY, site="mine"))


def test_pieces_of_a_blob_come_from_a_neighbour_in_order_also_where_it_is_not_whole_yet():
    data = bytes(range(256)) * 8000

    async def read(_digest: Digest, begin: int, most: int) -> bytes | None:
        await anyio.sleep(0.01)
        return data[begin : begin + most] if begin < len(data) else None

    async def script(land: Land) -> None:
        land.nodes[A].peers.read = read
        await anyio.sleep(10)
        b = land.nodes[B]
        assert await b.peers.near() == (A,)
        assert await b.fetch(A, end=len(data)) == (206, data)
        assert await b.fetch(A, begin=len(data) - 3, end=len(data) + 10**6) == (206, data[-3:])
        assert await b.fetch(A, begin=len(data), end=len(data) + 9) == (416, b"")

    run(script, listening=A)


def test_a_node_of_another_site_gets_no_piece_and_is_not_asked():
    async def read(_digest: Digest, _begin: int, most: int) -> bytes | None:
        return bytes(most)

    async def script(land: Land) -> None:
        for node in land.nodes.values():
            node.peers.read = read
        await anyio.sleep(10)
        land.spots[B] = replace(QUAY, site="mine")
        land.nodes[A].knows()
        assert await land.nodes[A].peers.near() == ()
        assert await land.nodes[B].fetch(A, end=9) == (416, b"")

    run(script, listening=A)


def test_what_is_asked_of_a_node_that_cannot_be_reached_is_cut():
    async def script(land: Land) -> None:
        b = land.nodes[B]
        assert await b.peers.near() == ()
        with pytest.raises(Cut, match="cannot be reached"):
            await b.fetch(A, end=9)

    run(script, listening=A, silent=A)


def test_a_neighbour_that_leaves_in_the_middle_cuts_what_it_was_asked_for():
    async def never(_digest: Digest, _begin: int, _most: int) -> bytes | None:
        await anyio.sleep_forever()

    async def script(land: Land) -> None:
        land.nodes[A].peers.read = never
        await anyio.sleep(10)
        cut: list[Cut] = []

        async def fetch() -> None:
            try:
                await land.nodes[B].fetch(A, end=9)
            except Cut as error:
                cut.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(fetch)
            await anyio.sleep(1)
            del land.spots[A]
            land.nodes[B].knows()
        assert "gone" in str(cut[0])

    run(script, listening=A)


def test_other_addresses_are_asked_beyond():
    async def script(land: Land) -> None:
        b = land.nodes[B]
        async with b.downloads.get("https://control/x", begin=0, end=1) as answer:
            assert answer.status == 404
        assert b.beyond.asked == [("https://control/x", 0, 1)]

    run(script, listening=A)


def test_a_cloud_node_is_no_place_for_what_must_stay_on_the_site():
    async def script(land: Land) -> None:
        await anyio.sleep(10)
        (seen,) = land.nodes[B].near.values()
        assert seen.via.within == ("any", "site")

    run(script, listening=A, nd_a=replace(HOME, site="quay"), nd_b=QUAY)


def test_more_engines_than_a_greeting_carries_are_told_of_as_none_and_people_hear_of_it():
    async def script(land: Land) -> None:
        a, b = land.nodes[A], land.nodes[B]
        await anyio.sleep(10)
        assert b.near
        huge = replace(engine(A), id=EndpointId("e" * 2_000_000))
        a.board.put_endpoint(huge)
        await anyio.sleep(10)
        assert not b.near
        assert a.near
        assert "peer_told_nothing" in [event.code for event in a.sink.events]
        a.board.drop_endpoint(huge.id)
        await anyio.sleep(10)
        assert b.near

    run(script, listening=A)
