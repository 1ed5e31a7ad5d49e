"""A whole node in memory: what it serves at once, what it takes, and how it ends."""

from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.flight import SETTLED, SLOT_BYTES, identity, write
from littoral.domain.ids import NodeId
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import (
    Applied,
    Frame,
    Hello,
    PartsWanted,
    Pulse,
    Records,
    Stored,
    Tables,
    Welcome,
)
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.node.backoff import Patience
from littoral.node.identity import Identity
from littoral.node.parts import NodeParts
from littoral.node.serve import serve
from littoral.node.slot import path_of
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.channel import channel_pair
from littoral.testing.disk import MemoryDisk
from littoral.testing.loop import simulate
from littoral.testing.network import MemoryNetwork
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.responses import MemoryResponses
from littoral.testing.snapshot import Issuer
from littoral.testing.usage import usage_waiting
from tools import plain_tools

SNAPSHOT = Snapshot(
    epoch=1,
    version=1,
    issued_us=Micros(1),
    node=NodeId("nd_me"),
    pepper=b"",
    keys=(),
    assignments=(),
)


class Gateway:
    """A gateway that pulses and ends when asked."""

    def __init__(self) -> None:
        self.channel, self.far = channel_pair()
        self.pid = 77
        self.heard: list[Frame] = []
        self.asked = anyio.Event()

    def stop(self) -> None:
        self.asked.set()

    async def wait(self) -> str:
        await self.asked.wait()
        return "exited with status 0"

    async def live(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.hear)
            number = 0
            while True:
                number += 1
                await self.far.send(
                    Pulse(
                        number=number, connections=0, in_flight=0, lag_s=Seconds(0.0), counters={}
                    )
                )
                await anyio.sleep(0.3)

    async def hear(self) -> None:
        try:
            while True:
                self.heard.append(await self.far.receive())
        except ChannelClosed:
            return


class Host:
    """Everything around one node, and the control that it may find."""

    def __init__(self, around) -> None:
        self.around = around
        self.network = MemoryNetwork()
        self.outbox = MemoryOutbox()
        self.disk = MemoryDisk()
        self.table = bytearray(8 * SLOT_BYTES)
        self.quota = quota_table(mine=0)
        self.gateways: list[Gateway] = []
        self.issuer = Issuer(pack)
        self.offer: Snapshot | None = None
        self.snapshot = self.issuer.named(SNAPSHOT)
        self.heard: list[Frame] = []

    @asynccontextmanager
    async def launch(self):
        gateway = Gateway()
        self.gateways.append(gateway)
        async with anyio.create_task_group() as group:
            group.start_soon(gateway.live)
            try:
                yield gateway
            finally:
                group.cancel_scope.cancel()
                await gateway.channel.close()
                await gateway.far.close()

    async def control(self, channel: Channel) -> None:
        assert isinstance(await channel.receive(), Hello)
        await channel.send(
            Welcome(protocol=1, server_us=Micros(1_800_000_000_000_000), beat_s=Seconds(5.0))
        )
        if self.offer is not None:
            await channel.send(self.issuer.offer(self.offer))
        try:
            while True:
                frame = await channel.receive()
                self.heard.append(frame)
                if isinstance(frame, PartsWanted):
                    for piece in self.issuer.pieces(frame):
                        await channel.send(piece)
                if isinstance(frame, Records):
                    batch = frame.batch
                    await channel.send(Stored(outbox=frame.outbox, lane=batch.lane, mark=batch.end))
        except ChannelClosed:
            return

    def parts(self) -> NodeParts:
        around = self.around
        engines = around.parts()
        return NodeParts(
            identity=Identity(node=NodeId("nd_me"), name="me", boot="b", build="0"),
            network=self.network,
            session="control",
            registry=engines.registry,
            blobs=MemoryBlobs(),
            outbox=self.outbox,
            responses=MemoryResponses(around.clock),
            deferrals=around.deferred,
            disk=self.disk,
            clock=around.clock,
            chance=around.chance,
            failpoints=around.failpoints,
            sink=around.sink,
            unpack=unpack,
            anchors=self.issuer.anchors,
            flights=[memoryview(self.table)],
            quota=self.quota,
            gateways=[self.launch],
            machine=lambda: around.machine,
            report=lambda _pids: None,
            patience=Patience(),
            tools=plain_tools(),
        )

    def during(self, script, *, with_control: bool = False) -> None:
        async def main() -> None:
            stop = anyio.Event()
            async with anyio.create_task_group() as outer:
                if with_control:
                    outer.start_soon(self.listen)
                async with anyio.create_task_group() as group:

                    async def run() -> None:
                        await serve(self.parts(), stop=stop)

                    group.start_soon(run)
                    await anyio.sleep(1)
                    await script()
                    stop.set()
                outer.cancel_scope.cancel()

        simulate(main)

    async def listen(self) -> None:
        async with self.network.listen("control", self.control):
            await anyio.sleep_forever()


@pytest.fixture
def host(around) -> Host:
    return Host(around)


def test_a_node_serves_from_its_disk_without_control(host, assign) -> None:
    first = replace(host.snapshot, assignments=(assign("chat"),))
    host.offer = first

    async def applied() -> None:
        await anyio.sleep(10)
        assert any(isinstance(frame, Applied) and frame.ok for frame in host.heard)

    host.during(applied, with_control=True)
    assert path_of("a") in host.disk.files

    async def alone() -> None:
        await anyio.sleep(5)
        assert Tables(snapshot=first) in host.gateways[-1].heard
        assert len(host.around.driver.live) == 1

    host.during(alone)
    assert host.around.driver.live == []


def test_a_damaged_snapshot_is_told_and_replaced_by_control(host) -> None:
    host.disk.files[path_of("a")] = b"LITSNAP2 but then nonsense"
    host.offer = host.snapshot

    async def script() -> None:
        await anyio.sleep(10)
        assert Tables(snapshot=host.snapshot) in host.gateways[0].heard

    host.during(script, with_control=True)
    assert host.around.sink.codes()[1:3] == ["snapshot_damaged", "snapshot_lost"]


def test_a_stop_books_what_is_left_and_lets_control_have_it(host) -> None:
    names = identity(("r1", "p", "k", "m", "d", "chat@1"))
    header = (0, 0, 0, 7, 0, 5, 1_000, 10, 20, 30, 40, 1.0, 2.0)

    async def script() -> None:
        await anyio.sleep(10)
        write(host.table, 3, state=SETTLED, header=header, names=names)

    host.during(script, with_control=True)
    rows = [row for frame in host.heard if isinstance(frame, Records) for row in frame.batch.rows]
    assert [row.usage.request for row in rows if row.usage] == ["r1"]
    assert host.table[3 * SLOT_BYTES] == 0


def test_a_stop_does_not_wait_for_a_control_that_is_away(host) -> None:
    names = identity(("r1", "p", "k", "m", "d", "chat@1"))
    header = (0, 0, 0, 7, 0, 5, 1_000, 10, 20, 30, 40, 1.0, 2.0)
    write(host.table, 3, state=SETTLED, header=header, names=names)

    async def script() -> None:
        return

    host.during(script)

    async def kept() -> int:
        return await usage_waiting(host.outbox)

    assert simulate(kept) == 1
