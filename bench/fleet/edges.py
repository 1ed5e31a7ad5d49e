"""Many edges in one process: the node's own code over real sockets, on disks in memory.

Reads one JSON object from standard input, ``{"url", "tokens": {number: token}}``, and joins one
edge with each token, which lives from then on. Prints each half second ``{"joined", "there",
"again", "offers", "cpu_s"}``: how many have joined, how many have been welcomed and have not lost
their session since, how many have been welcomed since the last line on standard input, and how many
snapshots were offered. An edge that has not noticed yet that control is gone is still there.

An edge has no engine, and a gateway that nobody asks. Nothing else is left out: it enrols over
HTTPS, keeps its certificate, takes signed snapshots, beats, and writes its figures of the minute
into its outbox.
"""

import itertools
import json
import resource
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio

from littoral.app.codec import unpack
from littoral.app.link.remote import towards_control
from littoral.app.system import SystemChance, SystemClock, SystemEntropy, SystemFailpoints
from littoral.client.registrar import HttpRegistrar
from littoral.domain.endpoint import Machine
from littoral.domain.enrolment import Inventory
from littoral.domain.errors import ControlUnreachable, LittoralError
from littoral.domain.flight import SLOT_BYTES
from littoral.domain.link import Shown
from littoral.domain.local import Fence, Pulse, Tables
from littoral.domain.ports import Channel, Network
from littoral.domain.quota import QuotaTable, renew, table_bytes
from littoral.domain.session import SnapshotOffer, Welcome
from littoral.domain.units import Bytes, Seconds
from littoral.node.backoff import Patience
from littoral.node.enrolment import Joining, Wish
from littoral.node.gateway import TICK
from littoral.node.identity import Credentials, Identity, IdentityStore
from littoral.node.parts import NodeParts
from littoral.node.redial import FAR
from littoral.node.renewal import Joined
from littoral.node.serve import serve
from littoral.node.tending import Tools
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.channel import channel_pair
from littoral.testing.deferrals import MemoryDeferrals
from littoral.testing.disk import MemoryDisk
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.responses import MemoryResponses
from littoral.testing.sink import ListSink

JOINING = 16
"""So many edges join at a time."""
ROWS = 64
COLUMNS = 2
MACHINE = Machine(cores=2, memory=Bytes(8 << 30), memory_free=Bytes(4 << 30))


class Roll:
    """Who has been welcomed: and is there, or since somebody asked. How many snapshots came."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.again: set[str] = set()
        self.offers = 0

    def welcomed(self, name: str) -> None:
        """Note that one was."""
        self.there.add(name)
        self.again.add(name)

    async def ask(self) -> None:
        """Count anew from each line on standard input on."""
        while await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            self.again.clear()


class Noticed:
    """A network that notes who has been welcomed."""

    def __init__(self, network: Network, roll: Roll, name: str) -> None:
        self._network = network
        self._roll = roll
        self._name = name

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Channel]:
        """Dial; until the channel ends its welcome counts."""
        try:
            async with self._network.dial(address) as channel:
                yield Heard(channel, partial(self._roll.welcomed, self._name), self._roll)
        finally:
            self._roll.there.discard(self._name)


class Heard:
    """A channel that says when a welcome came, and counts snapshots."""

    def __init__(self, channel: Channel, welcomed: Callable[[], None], roll: Roll) -> None:
        self._channel = channel
        self._welcomed = welcomed
        self._roll = roll

    def __getattr__(self, name: str) -> object:
        return getattr(self._channel, name)

    async def receive(self) -> object:
        """The next frame."""
        frame = await self._channel.receive()
        if isinstance(frame, Welcome):
            self._welcomed()
        self._roll.offers += isinstance(frame, SnapshotOffer)
        return frame


class Idle:
    """A gateway that has nothing to do but to say that it lives, and by what it serves."""

    pid = 0

    def __init__(self) -> None:
        self.channel, self._far = channel_pair()
        self._ended = anyio.Event()
        self._serves, self._fence = (0, 0), 0

    def stop(self) -> None:
        """End."""
        self._ended.set()

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        await self._ended.wait()
        return "it was told to"

    async def live(self) -> None:
        """Hear the node, and pulse."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._pulse)
            while True:
                match await self._far.receive():
                    case Tables(snapshot=snapshot):
                        self._serves = (snapshot.epoch, snapshot.version)
                    case Fence(number=number):
                        self._fence = number
                    case _:
                        pass

    async def _pulse(self) -> None:
        for number in itertools.count(1):
            pulse = Pulse(
                number=number,
                connections=0,
                in_flight=0,
                lag_s=Seconds(0.0),
                counters={},
                serves=self._serves,
                fence=self._fence,
            )
            await self._far.send(pulse)
            await anyio.sleep(TICK)


@asynccontextmanager
async def launch() -> AsyncGenerator[Idle]:
    """Start one."""
    gateway = Idle()
    async with anyio.create_task_group() as group:
        group.start_soon(gateway.live)
        yield gateway
        group.cancel_scope.cancel()


class Edge:
    """One edge.

    Args:
        number: Which; its name and its outbox's.
        roll: Where it is noted that it has been welcomed.
    """

    def __init__(self, number: str, roll: Roll) -> None:
        self._name = f"edge-{number}"
        self._roll = roll
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self._disk, self._failpoints = MemoryDisk(), SystemFailpoints()
        self._store = IdentityStore(self._disk, self._failpoints)
        self._sink = ListSink()

    async def join(self, url: str, token: str) -> None:
        """Become a node."""
        registrar = HttpRegistrar()
        joining = Joining(
            self._store,
            disk=self._disk,
            registrar=registrar,
            clock=self._clock,
            entropy=self._entropy,
        )
        wish = Wish(url=url, token=token, name=self._name, facts=Inventory(cores=2))
        await joining.join(wish)

    async def run(self) -> None:
        """Be a node for as long as it takes."""
        await serve(self._parts(self._held()), stop=anyio.Event())

    def _held(self) -> Credentials:
        held = self._store.read()
        if held is None:
            raise RuntimeError(f"{self._name} has not joined")
        return held

    def _network(self, held: Credentials) -> Network:
        async def shown() -> Shown:
            now = self._held()
            return Shown(roots=now.ca, chain=now.chain, key=now.key)

        return towards_control(
            shown,
            cluster=held.identity.cluster,
            clock=self._clock,
            entropy=self._entropy,
            failpoints=self._failpoints,
            lenient=lambda: False,
            holds=lambda: held.life.end_us,
        )

    def _parts(self, held: Credentials) -> NodeParts:
        who = held.identity
        quota = memoryview(bytearray(table_bytes(COLUMNS, ROWS))).cast("q")
        renew(quota, 1, ROWS)
        joined = Joined(credentials=held, registrar=HttpRegistrar(), entropy=self._entropy)
        return NodeParts(
            identity=Identity(node=who.node, name=who.name, boot=who.node, build="0"),
            network=Noticed(self._network(held), self._roll, self._name),
            session=who.session_url,
            joined=True,
            pace=FAR,
            registry={},
            blobs=MemoryBlobs(),
            outbox=MemoryOutbox(f"ob-{self._name}", clock=self._clock),
            responses=MemoryResponses(self._clock),
            deferrals=MemoryDeferrals(self._clock),
            disk=self._disk,
            clock=self._clock,
            chance=SystemChance(),
            failpoints=self._failpoints,
            sink=self._sink,
            unpack=unpack,
            anchors=lambda: held.anchors,
            flights=[memoryview(bytearray(SLOT_BYTES))],
            quota=QuotaTable(quota, columns=COLUMNS, mine=0, rows=ROWS),
            gateways=[launch],
            machine=lambda: MACHINE,
            tools=Tools(
                inventory=lambda: Inventory(cores=2),
                tail=_none,
                probe=_none,
                answer=_none,
                joined=joined,
            ),
            report=lambda _pids: None,
            patience=Patience(),
        )


async def _none(*_asked: object) -> str:
    raise LittoralError("there is none here")


async def main() -> None:
    """Join all, each of which lives from then on."""
    asked = json.loads(sys.stdin.readline())
    roll, joined = Roll(), 0
    limiter = anyio.CapacityLimiter(JOINING)

    async def live(edge: Edge, token: str) -> None:
        nonlocal joined
        async with limiter:
            while True:
                try:
                    await edge.join(asked["url"], token)
                    break
                except ControlUnreachable:  # it is that busy
                    await anyio.sleep(1.0)
        joined += 1
        await edge.run()

    async with anyio.create_task_group() as group:
        group.start_soon(roll.ask)
        for number, token in asked["tokens"].items():
            group.start_soon(live, Edge(number, roll), token)
        while True:
            told = {"joined": joined, "there": len(roll.there), "again": len(roll.again)}
            told["offers"] = roll.offers
            print(json.dumps(told | {"cpu_s": time.process_time()}), flush=True)
            await anyio.sleep(0.5)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
    anyio.run(main)
