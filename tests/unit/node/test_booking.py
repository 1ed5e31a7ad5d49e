"""Each flight becomes one record, whoever dies when."""

import anyio
import pytest

from littoral.domain.flight import OPEN, SETTLED, SLOT_BYTES, identity, write
from littoral.node.booking import Booking, FlightTable
from littoral.node.limits import LimitRows
from littoral.testing.failpoints import Crash
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.usage import usage_rows, usage_waiting

SLOTS = 8


class Desk:
    """A flight table with its reader, and an outbox."""

    def __init__(self, around) -> None:
        self.table = FlightTable(memoryview(bytearray(SLOTS * SLOT_BYTES)))
        self.outbox = MemoryOutbox()
        self.freed: list[int] = []
        self.learned: list[str] = []
        self.around = around
        self.booking = self.reader()

    def reader(self) -> Booking:
        return Booking(
            self.table,
            self.outbox,
            LimitRows(quota_table(mine=0), self.around.clock),
            failpoints=self.around.failpoints,
            board=self.around.board,
            booked=lambda records: self.learned.extend(each.record.request for each in records),
        )

    def fly(self, slot: int, request: str, *, state: int = SETTLED, out: int = 5) -> None:
        names = identity((request, "p", "k", "m", "d", "chat@1"))
        header = (0, 0, 0, 7, 0, out, 1_000, 10, 20, 30, 40, 1.0, 2.0)
        write(self.table.memory, slot, state=state, header=header, names=names)

    async def free(self, slots: tuple[int, ...]) -> None:
        self.freed.extend(slots)

    async def booked(self) -> dict[str, tuple[str, int]]:
        found = [row.usage for row in await usage_rows(self.outbox) if row.usage is not None]
        return {each.request: (each.status, each.tokens_out) for each in found}


@pytest.fixture
def desk(around) -> Desk:
    return Desk(around)


def test_a_settled_flight_is_booked_and_only_then_freed(desk) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(desk.booking.run, desk.free)
            desk.fly(3, "r1")
            desk.fly(4, "r2", state=OPEN)
            desk.booking.settled([3])
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        assert await desk.booked() == {"r1": ("ok", 5)}
        assert desk.freed == [3]
        assert [each.index for each in desk.table.all()] == [4]
        assert desk.learned == ["r1"]

    simulate(main)


def test_what_is_named_but_not_settled_is_left_alone(desk) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(desk.booking.run, desk.free)
            desk.fly(0, "r1", state=OPEN)
            desk.booking.settled([0, 5, 99])
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        assert await desk.booked() == {}
        assert desk.freed == []

    simulate(main)


def test_a_dead_gateways_flights_are_booked_open_ones_as_interrupted(desk) -> None:
    async def main() -> None:
        desk.fly(0, "done")
        desk.fly(7, "open", state=OPEN, out=2)
        assert await desk.booking.leftovers() == 2
        assert await desk.booked() == {"done": ("ok", 5), "open": ("interrupted", 2)}
        assert desk.table.all() == []
        assert await desk.booking.leftovers() == 0

    simulate(main)


def test_dying_between_the_sync_and_the_freeing_doubles_nothing(desk) -> None:
    async def main() -> None:
        desk.fly(1, "r1")
        desk.around.failpoints.arm("slots.freed")
        with pytest.raises(Crash):
            await desk.booking.leftovers()
        assert [each.index for each in desk.table.all()] == [1]
        await desk.reader().leftovers()
        assert await desk.booked() == {"r1": ("ok", 5)}
        assert await usage_waiting(desk.outbox) == 1

    simulate(main)


def test_a_full_disk_keeps_the_slots_until_there_is_room(desk, around) -> None:
    async def main() -> None:
        desk.outbox.full = True
        async with anyio.create_task_group() as group:
            group.start_soon(desk.booking.run, desk.free)
            desk.fly(2, "r1")
            desk.booking.settled([2])
            await anyio.sleep(60)
            assert desk.freed == []
            desk.outbox.full = False
            await anyio.sleep(2)
            group.cancel_scope.cancel()
        assert desk.freed == [2]
        assert around.sink.codes() == ["storage_full", "outbox_recovered"]

    simulate(main)


def test_an_endpoint_is_idle_when_its_last_request_has_settled(desk) -> None:
    async def main() -> None:
        desk.fly(0, "r1", state=OPEN)
        idle: list[str] = []

        async def waiter(endpoint: str) -> None:
            await desk.booking.idle(endpoint)
            idle.append(endpoint)

        async with anyio.create_task_group() as group:
            group.start_soon(waiter, "other@1")
            group.start_soon(waiter, "chat@1")
            await anyio.sleep(1)
            assert idle == ["other@1"]
            desk.fly(0, "r1", state=SETTLED)
            desk.booking.settled([0])
            await anyio.sleep(0.1)
            assert idle == ["other@1", "chat@1"]

    simulate(main)
