"""A ledger that is full: told before there is no room, and over by itself."""

import anyio
import pytest

from littoral.domain.errors import LedgerFull, Unavailable
from littoral.domain.flight import SETTLED, SLOT_BYTES, identity, write
from littoral.domain.limits import Budget, Limits
from littoral.domain.outbox import Mark
from littoral.domain.session import Recording
from littoral.node.booking import Booking, FlightTable
from littoral.node.brim import HOLD
from littoral.node.filling import LOOK, watch
from littoral.node.limits import LimitRows
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.usage import usage_record, usage_rows

QUOTA = 100_000
"""Of an outbox: its ledger may have half of it."""


class Shore:
    """A node's books over an outbox that holds about a hundred records."""

    def __init__(self, around, **limits: Limits) -> None:
        around.start_board()
        self.board, self.sink = around.board, around.sink
        self.outbox = MemoryOutbox(quota=QUOTA)
        self.table = FlightTable(memoryview(bytearray(64 * SLOT_BYTES)))
        self.rows = LimitRows(quota_table(mine=0), around.clock)
        self.limits = {f"project:{name}": each for name, each in limits.items()}
        self.freed: list[int] = []
        self.booking = Booking(
            self.table,
            self.outbox,
            self.rows,
            failpoints=around.failpoints,
            board=self.board,
            booked=lambda _: None,
        )

    @property
    def full(self) -> bool:
        return self.board.brim.frame.full

    async def fill(self) -> int:
        """Append until there is no room at all; returns how many there are."""
        count = 0
        while True:
            try:
                await self.outbox.append([usage_record(count)])
            except LedgerFull:
                return count
            count += 1

    async def take(self, share: float) -> None:
        """Control takes a share of what is there."""
        last = (await self.outbox.level()).lanes["ledger"].rows
        await self.outbox.stored("ledger", Mark(seq=int(last * share)))

    def settle(self, slot: int, *, project: str = "p") -> None:
        names = identity((f"rq_new_{slot}", project, "k", "m", "d", "chat@1"))
        header = (0, 0, 0, 7, 0, 5, 1_000, 10, 20, 30, 40, 1.0, 2.0)
        write(self.table.memory, slot, state=SETTLED, header=header, names=names)
        self.booking.settled([slot])

    def live(self, script) -> None:
        async def free(slots: tuple[int, ...]) -> None:
            self.freed.extend(slots)

        async def main() -> None:
            self.rows.allot(self.limits)
            async with anyio.create_task_group() as group:
                group.start_soon(watch, self.board, self.outbox)
                group.start_soon(self.booking.run, free)
                await script()
                group.cancel_scope.cancel()

        simulate(main)


@pytest.fixture
def shore(around) -> Shore:
    return Shore(around)


def test_before_there_is_no_room_it_says_so_and_goes_on_once_control_has_taken_enough(shore):
    async def script() -> None:
        count = await shore.fill()
        await shore.take(0.2)
        await anyio.sleep(LOOK + 1)
        assert not shore.full
        for number in range(count, count + count // 5 - 2):
            await shore.outbox.append([usage_record(number)])
        await anyio.sleep(LOOK)
        assert shore.full
        assert "no room" in shore.board.status().trouble[0]
        await shore.outbox.append([usage_record("under_way")])
        await shore.take(0.08)
        await anyio.sleep(LOOK)
        assert shore.full
        await shore.take(0.5)
        await anyio.sleep(LOOK)
        assert not shore.full
        assert shore.board.status().trouble == ()
        assert shore.sink.codes() == ["ledger_full", "ledger_recovered"]

    shore.live(script)


def test_rows_that_control_has_do_not_fill_it(shore):
    async def script() -> None:
        await shore.fill()
        await shore.take(1.0)
        await anyio.sleep(LOOK + 1)
        assert not shore.full

    shore.live(script)


def test_a_disk_that_refuses_fills_it_at_once_until_it_takes_records_again(shore):
    async def script() -> None:
        await anyio.sleep(1)
        shore.outbox.full = True
        shore.settle(1)
        await anyio.sleep(0.1)
        assert shore.full
        await anyio.sleep(3 * HOLD)
        assert shore.full
        shore.outbox.full = False
        await anyio.sleep(1.1)
        assert not shore.full
        assert shore.freed == [1]
        said = shore.sink.codes()
        assert said == ["storage_full", "ledger_full", "outbox_recovered"]
        await anyio.sleep(LOOK)
        assert shore.sink.codes()[-1] == "ledger_recovered"

    shore.live(script)


def test_an_error_that_passes_is_no_lack_of_room(shore):
    async def script() -> None:
        await anyio.sleep(1)
        assert shore.board.brim.refused(Unavailable("the file was opened anew"))
        assert not shore.board.brim.refused(Unavailable("the file was opened anew"))
        assert not shore.full
        assert shore.board.brim.accepted()
        assert not shore.board.brim.accepted()

    shore.live(script)


def test_an_outbox_that_cannot_be_asked_does_not_end_the_watch(around):
    shore = Shore(around)
    level, broken = shore.outbox.level, [True]

    async def asked():
        if broken:
            raise Unavailable("the file was opened anew")
        return await level()

    shore.outbox.level = asked

    async def script() -> None:
        await anyio.sleep(LOOK + 1)
        broken.clear()
        await shore.fill()
        await anyio.sleep(LOOK + 1)
        assert shore.full

    shore.live(script)


def test_where_the_operator_allows_it_what_has_no_budget_is_let_go_and_counted(around):
    shore = Shore(around, rich=Limits(budget=Budget(amount=1.0, period="day")))
    shore.board.brim.unmetered = True

    async def script() -> None:
        await anyio.sleep(1)
        shore.outbox.full = True
        shore.settle(1)
        shore.settle(2, project="rich")
        await anyio.sleep(1.5)
        shore.settle(3)
        await anyio.sleep(1.5)
        assert shore.board.brim.frame == Recording(full=True, unmetered=True)
        shore.outbox.full = False
        await anyio.sleep(LOOK + 1)
        assert sorted(shore.freed) == [1, 2, 3]
        found = await usage_rows(shore.outbox)
        assert [row.usage.request for row in found if row.usage] == ["rq_new_2", "rq_new_3"]
        (event,) = [e for e in shore.board.take_events() if e.code == "ledger_unmetered"]
        assert event.message.startswith("1 requests")

    shore.live(script)


def test_it_is_over_by_itself_where_nothing_is_left_to_be_recorded(around):
    shore = Shore(around)
    shore.board.brim.unmetered = True

    async def script() -> None:
        await anyio.sleep(1)
        shore.outbox.full = True
        shore.settle(1)
        await anyio.sleep(0.1)
        assert shore.full
        assert shore.freed == [1]
        await anyio.sleep(HOLD + LOOK)
        assert not shore.full

    shore.live(script)
