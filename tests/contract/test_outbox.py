"""One suite for Outbox, on the file and on its twin; a state machine with the ledger behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from littoral.domain.errors import LedgerFull, StorageFull
from littoral.domain.ids import KeyId, NodeId, ProjectId, RequestId
from littoral.domain.node import Event
from littoral.domain.outbox import LANES, Lane, Mark, Note, Rollup, Row, Sample
from littoral.domain.ports import Outbox
from littoral.domain.units import Bytes, Micros, Seconds, Tokens
from littoral.domain.usage import UsageRecord
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

pytestmark = pytest.mark.anyio
NODE = NodeId("nd_1")
Opener = Callable[[], AbstractAsyncContextManager[Outbox]]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def record(number: int, attempt: int = 0, tokens: int = 1) -> UsageRecord:
    key = KeyId(f"k{number % 3}")
    return usage_record(number, attempt=attempt, tokens_in=Tokens(tokens), key=key)


SAMPLE = Sample(
    at_us=Micros(5), request=RequestId("rq_1"), project=ProjectId("p"), sealed=b"\x00\x01"
)
ROLLUP = Rollup(at_us=Micros(60), span_s=60, figures={"disk_free": 0.5})
KEPT = Seconds(3600.0)
QUOTA = Bytes(1 << 20)


class Bench:
    """Opens the same outbox again each time it is called."""

    def __init__(self, folder: Path | None) -> None:
        self.clock = SettableClock()
        self.memory = MemoryOutbox(clock=self.clock, kept_s=KEPT, quota=QUOTA)
        self.folder = folder
        self.entropy = SeededEntropy()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Outbox]:
        if self.folder is None:
            yield self.memory
            return
        async with SqliteOutbox.open(
            str(self.folder / "outbox.db"),
            clock=self.clock,
            entropy=self.entropy,
            failpoints=ArmedFailpoints(),
            sink=ListSink(),
            tuning=Tuning(kept_s=KEPT, quota=QUOTA),
        ) as outbox:
            yield outbox


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(tmp_path if request.param == "file" else None)


def event(number: int, words: str = "") -> Event:
    return Event(
        at_us=Micros(number), level="error", subject="disk", code="disk_full", message=words
    )


async def ledger_rows(outbox: Outbox, after: int = 0, limit: int = 5000) -> list[Row]:
    """All rows of the ledger, however many batches they take."""
    found: list[Row] = []
    while rows := (await outbox.read("ledger", after, limit)).rows:
        found += rows
        after = rows[-1].seq
    return found


async def has(outbox: Outbox, seq: int) -> Mark:
    """The mark of one row, as control would know it."""
    batch = await outbox.read("ledger", seq - 1, 1)
    return batch.end


async def waiting(outbox: Outbox) -> int:
    return (await outbox.level()).lanes["ledger"].waiting


async def test_records_come_back_as_they_were_and_in_order(opened: Bench):
    records = [record(1), replace(record(2), status="failed", streamed=False, cost=1e-9), record(3)]
    async with opened() as outbox:
        assert await outbox.append(records) == 3
        batch = await outbox.read("ledger", 0, 10)
    assert [row.usage for row in batch.rows] == records
    assert [row.seq for row in batch.rows] == [1, 2, 3]
    assert (batch.lane, batch.first, batch.prev_mac) == ("ledger", 1, b"")


async def test_each_row_is_chained_to_the_one_before(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1, 5)])
        rows = (await outbox.read("ledger", 0, 10)).rows
        later = await outbox.read("ledger", 2, 10)
    assert len({row.mac for row in rows}) == 4
    assert later.prev_mac == rows[1].mac


async def test_what_records_cost_is_summed_once_each_and_stays_when_they_are_gone(opened: Bench):
    first = replace(record(1), cost=0.25)
    async with opened() as outbox:
        await outbox.append([first, replace(record(2), cost=0.0)])
        await outbox.append([first, replace(record(1, attempt=1), cost=0.5)])
        await outbox.stored("ledger", await has(outbox, 3), safe=3)
    async with opened() as outbox:
        spent = {each.limit: each.amount for each in await outbox.spent()}
        hours = {each.hour for each in await outbox.spent()}
    assert spent["key:k1"] == 750_000_000
    assert set(spent) == {"key:k1", f"project:{first.project}", f"model:{first.model}"}
    assert hours == {first.at_us // 3_600_000_000}


async def test_read_begins_after_a_number_and_ends_at_the_limit(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1, 8)])
        assert [row.seq for row in (await outbox.read("ledger", 2, 3)).rows] == [3, 4, 5]
        assert (await outbox.read("ledger", 7, 3)).rows == ()


async def test_a_batch_is_no_heavier_than_a_frame_should_be(opened: Bench):
    async with opened() as outbox:
        await outbox.put([event(number, "x" * 20_000) for number in range(5)])
        assert [row.seq for row in (await outbox.read("event", 0, 500)).rows] == [1, 2]
        await outbox.put([event(9, "x" * 100_000)])
        assert [row.seq for row in (await outbox.read("event", 5, 500)).rows] == [6]


async def test_a_repeated_attempt_is_not_written_twice(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(1), record(2), record(1)])
        assert await outbox.append([record(2, tokens=99)]) == 2
        assert await outbox.append([record(2, attempt=1)]) == 3
        rows = (await outbox.read("ledger", 0, 10)).rows
    assert [(row.seq, row.usage) for row in rows] == [
        (1, record(1)),
        (2, record(2)),
        (3, record(2, attempt=1)),
    ]


async def test_nothing_appended_changes_nothing(opened: Bench):
    async with opened() as outbox:
        assert await outbox.append([]) == 0
        await outbox.put([])
        assert await waiting(outbox) == 0


async def test_numbers_are_not_used_again_once_everything_is_gone(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(1), record(2)])
        mark = await has(outbox, 2)
        await outbox.stored("ledger", mark, safe=2)
        assert await waiting(outbox) == 0
    async with opened() as outbox:
        assert await outbox.append([record(3)]) == 3
        batch = await outbox.read("ledger", 2, 10)
        assert [row.seq for row in batch.rows] == [3]
        assert batch.prev_mac == mark.mac


@pytest.mark.parametrize("lane", LANES)
async def test_numbers_go_on_after_a_restart_though_nothing_was_ever_sent(
    opened: Bench, lane: Lane
):
    notes: dict[Lane, Note] = {"event": event(1), "sample": SAMPLE, "metric": ROLLUP}
    for number in range(3):
        async with opened() as outbox:
            if lane == "ledger":
                await outbox.append([record(number)])
            else:
                await outbox.put([notes[lane]])
    async with opened() as outbox:
        batch = await outbox.read(lane, 0, 10)
        held = (await outbox.level()).lanes[lane].held
    assert [row.seq for row in batch.rows] == [1, 2, 3]
    assert held > 0
    assert batch.prev_mac == b""


async def test_what_control_has_stays_until_it_is_safe_or_a_day_old(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1, 7)])
        await outbox.stored("ledger", await has(outbox, 4))
        assert await waiting(outbox) == 2
        assert len(await ledger_rows(outbox)) == 6
        await outbox.stored("ledger", await has(outbox, 4), safe=2)
        assert [row.seq for row in await ledger_rows(outbox, after=2)] == [3, 4, 5, 6]
        opened.clock.advance(KEPT + 700.0)
        await outbox.append([record(7)])
        await outbox.stored("ledger", await has(outbox, 4))
        assert [row.seq for row in await ledger_rows(outbox, after=4)] == [5, 6, 7]
        name = outbox.name
        await outbox.stored("ledger", Mark(seq=3))
        assert outbox.name != name


async def test_a_control_that_was_restored_gets_again_what_is_kept(opened: Bench):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(number) for number in range(1, 6)])
        early = await has(outbox, 1)
        await outbox.stored("ledger", await has(outbox, 5))
        await outbox.stored("ledger", early)
        assert outbox.name == name
        again = await outbox.read("ledger", early.seq, 10)
        assert [row.usage for row in again.rows] == [record(n) for n in range(2, 6)]
        assert again.prev_mac == early.mac
        assert await waiting(outbox) == 0


async def test_more_than_one_chunk_is_dropped(opened: Bench):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1200)])
        await outbox.stored("ledger", await has(outbox, 1100), safe=1100)
        assert await waiting(outbox) == 100
        assert (await outbox.read("ledger", 1100, 1)).rows[0].seq == 1101


async def test_it_keeps_its_name_and_records_when_opened_again(opened: Bench):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(1)])
        before = await outbox.read("ledger", 0, 10)
    async with opened() as outbox:
        assert outbox.name == name
        assert await outbox.read("ledger", 0, 10) == before


async def test_a_mark_beyond_the_last_number_begins_a_new_name_from_one(opened: Bench):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(number) for number in range(1, 6)])
        await outbox.put([event(1)])
        await outbox.stored("ledger", await has(outbox, 3), safe=3)
        await outbox.stored("ledger", Mark(seq=40))
        assert outbox.name != name
        rows = (await outbox.read("ledger", 0, 10)).rows
        assert [(row.seq, row.usage) for row in rows] == [(1, record(4)), (2, record(5))]
        assert await waiting(outbox) == 2
        assert await outbox.append([record(6)]) == 3
        assert [row.event for row in (await outbox.read("event", 0, 10)).rows] == [event(1)]


async def test_another_mac_at_a_known_number_begins_a_new_name(opened: Bench):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(1), record(2)])
        await outbox.stored("ledger", Mark(seq=1))
        assert outbox.name == name
        await outbox.stored("ledger", Mark(seq=2, mac=b"of another disk!"))
        assert outbox.name != name
        assert [row.usage for row in await ledger_rows(outbox)] == [record(1), record(2)]


async def test_appends_at_the_same_time_all_come_through(opened: Bench):
    ends: list[int] = []

    async def writer(first: int) -> None:
        ends.extend([await outbox.append([record(first + step)]) for step in range(20)])

    async with opened() as outbox:
        async with anyio.create_task_group() as group:
            for task in range(30):
                group.start_soon(writer, task * 100)
        rows = await ledger_rows(outbox)
    assert sorted(ends) == [row.seq for row in rows] == list(range(1, 601))
    assert len({row.usage.request for row in rows if row.usage}) == 600


async def test_a_caller_that_goes_away_disturbs_nobody(opened: Bench):
    async with opened() as outbox:
        with anyio.move_on_after(0):
            await outbox.append([record(1)])
        await outbox.append([record(2)])
        assert record(2) in [row.usage for row in await ledger_rows(outbox)]


# Lanes that may lose rows


async def test_notes_have_lanes_and_numbers_of_their_own(opened: Bench):
    sample, rollup = SAMPLE, ROLLUP
    async with opened() as outbox:
        await outbox.append([record(1), record(2)])
        await outbox.put([event(1), sample, rollup, event(2)])
        events = (await outbox.read("event", 0, 10)).rows
        assert [(row.seq, row.event) for row in events] == [(1, event(1)), (2, event(2))]
        assert [row.sample for row in (await outbox.read("sample", 0, 10)).rows] == [sample]
        assert [row.rollup for row in (await outbox.read("metric", 0, 10)).rows] == [rollup]
        level = await outbox.level()
    assert {lane: each.waiting for lane, each in level.lanes.items()} == {
        "ledger": 2,
        "event": 2,
        "sample": 1,
        "metric": 1,
    }


async def test_notes_that_control_has_are_dropped(opened: Bench):
    async with opened() as outbox:
        await outbox.put([event(1), event(2), event(3)])
        batch = await outbox.read("event", 0, 2)
        await outbox.stored("event", batch.end)
    async with opened() as outbox:
        left = await outbox.read("event", 2, 10)
        assert [row.event for row in left.rows] == [event(3)]
        assert left.prev_mac == batch.rows[1].mac
        assert (await outbox.level()).lanes["event"].waiting == 1


async def test_a_lane_over_its_quota_loses_its_oldest_rows_and_shows_the_hole(opened: Bench):
    async with opened() as outbox:
        for number in range(1, 101):
            await outbox.put([event(number, "x" * 3000)])
        level = (await outbox.level()).lanes["event"]
        assert 0 < level.held <= level.quota == int(QUOTA * 0.15)
        batch = await outbox.read("event", 10, 5)
        hole = batch.rows[0]
        assert (hole.hole, batch.first, batch.prev_mac) == (11, 11, b"")
        assert level.lost == hole.seq > 40
        first = batch.rows[1]
        assert (first.seq, first.event) == (hole.seq + 1, event(hole.seq + 1, "x" * 3000))
    async with opened() as outbox:
        assert (await outbox.level()).lanes["event"] == level
        await outbox.stored("event", Mark(seq=hole.seq, mac=hole.mac))
        assert (await outbox.read("event", hole.seq, 1)).rows[0].seq == hole.seq + 1


async def test_a_note_larger_than_its_lane_is_refused(opened: Bench):
    async with opened() as outbox:
        await outbox.put([event(1)])
        with pytest.raises(StorageFull):
            await outbox.put([event(2, "x" * int(QUOTA * 0.15))])
        assert [row.event for row in (await outbox.read("event", 0, 9)).rows] == [event(1)]


async def test_a_full_ledger_drops_nothing_that_control_lacks_and_refuses(opened: Bench):
    async with opened() as outbox:
        big = [replace(record(number), model="m" * 5000) for number in range(120)]
        count = 0
        while (await outbox.level()).lanes["ledger"].share < 0.98:
            count = await outbox.append([big[count]])
        with pytest.raises(LedgerFull):
            await outbox.append(big[count : count + 5])
        assert [row.seq for row in await ledger_rows(outbox)] == list(range(1, count + 1))
        await outbox.put([event(1)])
        await outbox.stored("ledger", await has(outbox, 50))
        assert await outbox.append([record(5000)]) == count + 1
        assert (await ledger_rows(outbox, after=50))[0].seq == 51
        assert (await outbox.level()).lanes["ledger"].lost == 0


async def test_the_twin_refuses_when_full_and_goes_on_after():
    outbox = MemoryOutbox()
    outbox.full = True
    with pytest.raises(StorageFull):
        await outbox.append([record(1)])
    outbox.full = False
    assert await outbox.append([record(1)]) == 1
