"""One suite for Outbox, on the file and on its twin; a state machine with the ledger behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from littoral.domain.errors import StorageFull
from littoral.domain.ids import KeyId, NodeId
from littoral.domain.ports import Ledger, Outbox
from littoral.domain.units import Tokens
from littoral.domain.usage import StoredRecord, UsageRecord
from littoral.stores.ledger import SqliteLedger
from littoral.stores.outbox import SqliteOutbox
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.ledger import MemoryLedger
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


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same outbox again each time it is called."""
    memory = MemoryOutbox()
    entropy = SeededEntropy()

    @asynccontextmanager
    async def reopen() -> AsyncIterator[Outbox]:
        if request.param == "memory":
            yield memory
            return
        async with SqliteOutbox.open(
            str(tmp_path / "outbox.db"),
            clock=SettableClock(),
            entropy=entropy,
            failpoints=ArmedFailpoints(),
            sink=ListSink(),
        ) as outbox:
            yield outbox

    return reopen


async def test_records_come_back_as_they_were_and_in_order(opened: Opener):
    records = [record(1), replace(record(2), status="failed", streamed=False, cost=1e-9), record(3)]
    async with opened() as outbox:
        assert await outbox.append(records) == 3
        rows = await outbox.read(0, 10)
    assert [row.record for row in rows] == records
    assert [row.seq for row in rows] == [1, 2, 3]


async def test_what_records_cost_is_summed_once_each_and_stays_when_they_are_gone(opened: Opener):
    first = replace(record(1), cost=0.25)
    async with opened() as outbox:
        await outbox.append([first, replace(record(2), cost=0.0)])
        await outbox.append([first, replace(record(1, attempt=1), cost=0.5)])
        await outbox.stored(3)
    async with opened() as outbox:
        spent = {each.limit: each.amount for each in await outbox.spent()}
        hours = {each.hour for each in await outbox.spent()}
    assert spent["key:k1"] == 750_000_000
    assert set(spent) == {"key:k1", f"project:{first.project}", f"model:{first.model}"}
    assert hours == {first.at_us // 3_600_000_000}


async def test_read_begins_after_a_number_and_ends_at_the_limit(opened: Opener):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1, 8)])
        assert [row.seq for row in await outbox.read(2, 3)] == [3, 4, 5]
        assert [row.seq for row in await outbox.read(7, 3)] == []


async def test_a_repeated_attempt_is_not_written_twice(opened: Opener):
    async with opened() as outbox:
        await outbox.append([record(1), record(2), record(1)])
        assert await outbox.append([record(2, tokens=99)]) == 2
        assert await outbox.append([record(2, attempt=1)]) == 3
        rows = await outbox.read(0, 10)
    assert [(row.seq, row.record) for row in rows] == [
        (1, record(1)),
        (2, record(2)),
        (3, record(2, attempt=1)),
    ]


async def test_nothing_appended_changes_nothing(opened: Opener):
    async with opened() as outbox:
        assert await outbox.append([]) == 0
        assert await outbox.depth() == 0


async def test_numbers_are_not_used_again_once_everything_is_stored(opened: Opener):
    async with opened() as outbox:
        await outbox.append([record(1), record(2)])
        await outbox.stored(2)
        assert await outbox.depth() == 0
    async with opened() as outbox:
        assert await outbox.append([record(3)]) == 3
        assert [row.seq for row in await outbox.read(0, 10)] == [3]


async def test_stored_drops_what_is_at_or_below_and_keeps_the_rest(opened: Opener):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1, 6)])
        await outbox.stored(3)
        await outbox.stored(2)
        assert await outbox.depth() == 2
        assert [row.seq for row in await outbox.read(0, 10)] == [4, 5]


async def test_more_than_one_chunk_is_dropped(opened: Opener):
    async with opened() as outbox:
        await outbox.append([record(number) for number in range(1200)])
        await outbox.stored(1100)
        assert await outbox.depth() == 100
        assert (await outbox.read(0, 1))[0].seq == 1101


async def test_it_keeps_its_name_and_records_when_opened_again(opened: Opener):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(1)])
    async with opened() as outbox:
        assert outbox.name == name
        assert [row.record for row in await outbox.read(0, 10)] == [record(1)]


async def test_a_cursor_beyond_the_last_number_begins_a_new_name_from_one(opened: Opener):
    async with opened() as outbox:
        name = outbox.name
        await outbox.append([record(number) for number in range(1, 6)])
        await outbox.stored(3)
        await outbox.stored(40)
        assert outbox.name != name
        assert [(r.seq, r.record) for r in await outbox.read(0, 10)] == [
            (1, record(4)),
            (2, record(5)),
        ]
        assert await outbox.append([record(6)]) == 3


async def test_appends_at_the_same_time_all_come_through(opened: Opener):
    ends: list[int] = []

    async def writer(first: int) -> None:
        ends.extend([await outbox.append([record(first + step)]) for step in range(20)])

    async with opened() as outbox:
        async with anyio.create_task_group() as group:
            for task in range(30):
                group.start_soon(writer, task * 100)
        rows = await outbox.read(0, 1000)
    assert sorted(ends) == [row.seq for row in rows] == list(range(1, 601))
    assert len({row.record.request for row in rows}) == 600


async def test_a_caller_that_goes_away_disturbs_nobody(opened: Opener):
    async with opened() as outbox:
        with anyio.move_on_after(0):
            await outbox.append([record(1)])
        await outbox.append([record(2)])
        assert record(2) in [row.record for row in await outbox.read(0, 10)]


async def test_the_twin_refuses_when_full_and_goes_on_after():
    outbox = MemoryOutbox()
    outbox.full = True
    with pytest.raises(StorageFull):
        await outbox.append([record(1)])
    outbox.full = False
    assert await outbox.append([record(1)]) == 1


class Delivery(RuleBasedStateMachine):
    """Any interleaving of append, crash, resend, duplicate and gap is applied exactly once."""

    def make(self) -> tuple[Opener, Ledger]:
        outbox = MemoryOutbox()

        @asynccontextmanager
        async def reopen() -> AsyncIterator[Outbox]:
            yield outbox

        return reopen, MemoryLedger()

    @initialize()
    def begin(self):
        self.opener, self.ledger = self.make()
        self.acked: dict[tuple[str, int], UsageRecord] = {}
        self.sent: list[tuple[str, list[StoredRecord]]] = []
        self.runner = asyncio.Runner()
        self._enter()

    def _enter(self) -> None:
        self.context = self.opener()
        self.outbox = self.runner.run(self.context.__aenter__())

    def _leave(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))

    @rule(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=6), attempt=st.integers(0, 1))
    def append(self, numbers: list[int], attempt: int):
        records = [record(number, attempt) for number in numbers]
        self.runner.run(self.outbox.append(records))
        self.acked |= {(r.request, r.attempt): r for r in records}

    @rule()
    def crash(self):
        self._leave()
        self._enter()

    @rule(limit=st.integers(1, 9))
    def send(self, limit: int):
        name = self.outbox.name
        after = self.ledger.cursor(NODE, name)
        rows = list(self.runner.run(self.outbox.read(after, limit)))
        self.sent.append((name, rows))
        self.ledger.apply(NODE, name, rows)

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject):
        if self.sent:
            name, rows = data.draw(st.sampled_from(self.sent))
            self.ledger.apply(NODE, name, rows)

    @rule(data=st.data())
    def deliver_behind_a_gap(self, data: st.DataObject):
        name = self.outbox.name
        before = self.ledger.cursor(NODE, name)
        rows = self.runner.run(self.outbox.read(before + data.draw(st.integers(1, 3)), 5))
        assert self.ledger.apply(NODE, name, rows) == before

    @rule()
    def acknowledge(self):
        self.runner.run(self.outbox.stored(self.ledger.cursor(NODE, self.outbox.name)))

    @rule(beyond=st.integers(1, 5))
    def restore_an_old_disk(self, beyond: int):
        last = self.runner.run(self.outbox.append([]))
        self.runner.run(self.outbox.stored(last + beyond))

    @invariant()
    def nothing_is_applied_that_was_not_acknowledged(self):
        for (request, attempt), expected in self.acked.items():
            found = [r for r in self.ledger.record(request) if r.attempt == attempt]
            assert found in ([], [expected])

    def teardown(self):
        if not hasattr(self, "runner"):
            return
        while self.runner.run(self.outbox.read(self.ledger.cursor(NODE, self.outbox.name), 1)):
            self.send(50)
        sums = self.ledger.sums(by=["key"])
        self._leave()
        self.runner.close()
        expected = dict.fromkeys({r.key for r in self.acked.values()}, 0)
        for each in self.acked.values():
            expected[each.key] += each.tokens_out
        assert {row.key: row.tokens_out for row in sums} == expected


class TestDeliveryInMemory(Delivery.TestCase):
    settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory):
    FileDelivery.folders = tmp_path_factory


class FileDelivery(Delivery):
    folders: pytest.TempPathFactory

    def make(self) -> tuple[Opener, Ledger]:
        folder = self.folders.mktemp("delivery")
        entropy = SeededEntropy()
        self.book = SqliteLedger.open(str(folder / "ledger.db"), failpoints=ArmedFailpoints())

        def reopen() -> AbstractAsyncContextManager[Outbox]:
            return SqliteOutbox.open(
                str(folder / "outbox.db"),
                clock=SettableClock(),
                entropy=entropy,
                failpoints=ArmedFailpoints(),
                sink=ListSink(),
            )

        return reopen, self.book.__enter__()

    def teardown(self):
        super().teardown()
        if hasattr(self, "book"):
            self.book.__exit__(None, None, None)


class TestDeliveryOnDisk(FileDelivery.TestCase):
    settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
