"""The gateway child: fed, watched, replaced, and what it left is booked first."""

from contextlib import asynccontextmanager

import anyio
import pytest

from littoral.domain.errors import Unavailable
from littoral.domain.flight import SETTLED, SLOT_BYTES, identity, write
from littoral.domain.ids import NodeId
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Endpoints, Freed, Pulse, Settled, Tables
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.node.backoff import Patience
from littoral.node.booking import Booking, FlightTable
from littoral.node.findings import Findings
from littoral.node.gateway import GatewayKeeper
from littoral.node.limits import LimitRows
from littoral.node.relay import Relay
from littoral.node.shelf import Shelf
from littoral.testing.channel import channel_pair
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.responses import MemoryResponses
from littoral.testing.usage import usage_waiting


def snapshot(version: int) -> Snapshot:
    return Snapshot(
        epoch=1,
        version=version,
        issued_us=Micros(1),
        node=NodeId("nd"),
        pepper=b"",
        keys=(),
        assignments=(),
    )


class Process:
    """A gateway that pulses, ends when told, and can hang or die."""

    def __init__(self, pid: int) -> None:
        self.channel, self.far = channel_pair()
        self.pid = pid
        self.why = anyio.Event()
        self.asked = False
        self.obeys = True
        self.hangs = False
        self.mute = False
        self.heard: list[object] = []
        self.killed = False

    def stop(self) -> None:
        self.asked = True
        if self.obeys:
            self.why.set()

    async def wait(self) -> str:
        await self.why.wait()
        return "exited with status 0" if self.asked else "killed by signal 9"

    async def live(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._hear)
            number = 0
            while True:
                number += 1
                if not (self.hangs or self.mute):
                    pulse = Pulse(
                        number=number, connections=0, in_flight=0, lag_s=Seconds(0.0), counters={}
                    )
                    await self.far.send(pulse)
                await anyio.sleep(0.3)

    async def _hear(self) -> None:
        while True:
            try:
                self.heard.append(await self.far.receive())
            except ChannelClosed:
                return


class House:
    """A keeper and the processes that it started."""

    def __init__(self, around) -> None:
        self.around = around
        self.table = FlightTable(memoryview(bytearray(8 * SLOT_BYTES)))
        self.outbox = MemoryOutbox()
        self.processes: list[Process] = []
        self.cannot_start = 0
        booking = Booking(
            self.table,
            self.outbox,
            LimitRows(quota_table(mine=0), around.clock),
            failpoints=around.failpoints,
            board=around.board,
            booked=lambda _records: None,
        )
        self.keeper = GatewayKeeper(
            self.launch,
            board=around.board,
            booking=booking,
            shelf=Shelf(
                MemoryResponses(around.clock),
                clock=around.clock,
                board=around.board,
                deferrals=around.deferrals(),
            ),
            relay=Relay(NodeId("nd")),
            findings=Findings(self.outbox, lambda: None),
            clock=around.clock,
            chance=around.chance,
            patience=Patience(),
        )

    @asynccontextmanager
    async def launch(self):
        if self.cannot_start:
            self.cannot_start -= 1
            raise Unavailable("the gateway cannot be started: no memory")
        process = Process(100 + len(self.processes))
        self.processes.append(process)
        async with anyio.create_task_group() as group:
            group.start_soon(process.live)
            try:
                yield process
            finally:
                process.killed = True
                group.cancel_scope.cancel()
                await process.channel.close()
                await process.far.close()

    def fly(self, slot: int, request: str) -> None:
        names = identity((request, "p", "k", "m", "d", "chat@1"))
        header = (0, 0, 0, 7, 0, 5, 1_000, 10, 20, 30, 40, 1.0, 2.0)
        write(self.table.memory, slot, state=SETTLED, header=header, names=names)

    def during(self, script) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.keeper.run)
                await anyio.sleep(0.1)
                await script()
                self.keeper.stop()

        simulate(main)


@pytest.fixture
def house(around) -> House:
    return House(around)


def test_a_gateway_is_told_what_to_serve_and_each_change_once(house, around) -> None:
    async def script() -> None:
        process = house.processes[0]
        assert process.heard[0] == Endpoints(endpoints=())
        around.board.put_snapshot(snapshot(1))
        around.board.put_snapshot(snapshot(2))
        await anyio.sleep(0.1)
        around.board.say("x", "y", "no change of what is served")
        await anyio.sleep(0.1)
        told = [each for each in process.heard if isinstance(each, Tables)]
        assert told == [Tables(snapshot=snapshot(2))]

    house.during(script)


def test_what_is_served_is_said_last_as_a_gateway_opens_its_doors_with_it(house, around) -> None:
    async def script() -> None:
        around.board.put_snapshot(snapshot(1))
        house.processes[0].why.set()
        await anyio.sleep(1.0)
        heard = house.processes[1].heard
        assert [type(each) for each in heard].index(Tables) == len(around.board.frames()) - 1

    house.during(script)


def test_what_it_settled_is_booked_and_the_slots_come_back(house) -> None:
    async def script() -> None:
        house.fly(3, "r1")
        await house.processes[0].far.send(Settled(slots=(3,)))
        await anyio.sleep(0.1)
        assert Freed(slots=(3,)) in house.processes[0].heard
        assert await usage_waiting(house.outbox) == 1

    house.during(script)


def test_a_dead_gateway_is_replaced_after_its_flights_are_booked(house, around) -> None:
    async def script() -> None:
        around.board.put_snapshot(snapshot(1))
        house.fly(3, "r1")
        house.processes[0].why.set()
        await anyio.sleep(1)
        assert len(house.processes) == 2
        assert await usage_waiting(house.outbox) == 1
        assert Tables(snapshot=snapshot(1)) in house.processes[1].heard
        assert around.pids == {"gateway": 101}

    house.during(script)
    assert around.sink.codes() == ["gateway_ended"]


def test_a_gateway_without_a_pulse_is_killed_and_replaced(house) -> None:
    async def script() -> None:
        await anyio.sleep(1)
        house.processes[0].hangs = True
        await anyio.sleep(4)
        assert house.processes[0].killed
        assert len(house.processes) == 2
        await anyio.sleep(60)
        assert len(house.processes) == 2

    house.during(script)


def test_a_gateway_that_somebody_killed_says_nothing_against_what_it_served(house) -> None:
    deaths: list[str] = []
    house.around.board.on_death = lambda: deaths.append("died")

    async def script() -> None:
        house.processes[0].why.set()
        await anyio.sleep(1)
        assert len(house.processes) == 2
        assert deaths == []
        house.processes[1].hangs = True
        await anyio.sleep(4)
        assert deaths == ["died"]

    house.during(script)


def test_a_closed_channel_ends_a_gateway_that_lives_on(house) -> None:
    async def script() -> None:
        house.processes[0].mute = True
        await house.processes[0].far.close()
        await anyio.sleep(1)
        assert house.processes[0].killed
        assert len(house.processes) == 2

    house.during(script)


def test_starting_again_and_again_is_not_done_in_haste(house, around) -> None:
    house.cannot_start = 10_000

    async def script() -> None:
        await anyio.sleep(300)
        assert 60 < around.sink.codes().count("gateway_ended") < 300

    house.during(script)


def test_a_stop_lets_it_finish_and_books_the_rest(house, around) -> None:
    async def script() -> None:
        house.fly(1, "late")

    house.during(script)
    assert house.processes[0].asked
    assert house.table.all() == []
    assert around.sink.codes() == []
    assert around.pids == {}


def test_a_stop_does_not_wait_for_ever(house) -> None:
    async def script() -> None:
        house.processes[0].obeys = False

    house.during(script)
    assert house.processes[0].killed
