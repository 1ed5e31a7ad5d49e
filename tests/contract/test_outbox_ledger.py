"""Outbox and Ledger together: any interleaving of their calls applies every record exactly once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from littoral.domain.ids import KeyId, NodeId
from littoral.domain.outbox import Batch, Mark
from littoral.domain.ports import Ledger, Outbox
from littoral.domain.usage import UsageRecord
from littoral.stores.ledger import SqliteLedger
from littoral.stores.outbox import SqliteOutbox
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.ledger import MemoryLedger
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

NODE = NodeId("nd_1")
Opener = Callable[[], AbstractAsyncContextManager[Outbox]]


def record(number: int, attempt: int = 0) -> UsageRecord:
    return usage_record(number, attempt=attempt, key=KeyId(f"k{number % 3}"))


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
        self.sent: list[tuple[str, Batch]] = []
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
        batch = self.runner.run(self.outbox.read("ledger", after.seq, limit))
        self.sent.append((name, batch))
        self.ledger.apply(NODE, name, batch)

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject):
        if self.sent:
            name, batch = data.draw(st.sampled_from(self.sent))
            self.ledger.apply(NODE, name, batch)

    @rule(data=st.data())
    def deliver_behind_a_gap(self, data: st.DataObject):
        name = self.outbox.name
        before = self.ledger.cursor(NODE, name)
        after = before.seq + data.draw(st.integers(1, 3))
        batch = self.runner.run(self.outbox.read("ledger", after, 5))
        assert self.ledger.apply(NODE, name, batch).mark == before

    @rule()
    def acknowledge(self):
        mark = self.ledger.cursor(NODE, self.outbox.name)
        self.runner.run(self.outbox.stored("ledger", mark))

    @rule()
    def keep_elsewhere(self):
        mark = self.ledger.cursor(NODE, self.outbox.name)
        self.runner.run(self.outbox.stored("ledger", mark, safe=mark.seq))

    @rule(beyond=st.integers(1, 5))
    def restore_an_old_disk(self, beyond: int):
        last = self.runner.run(self.outbox.append([]))
        self.runner.run(self.outbox.stored("ledger", Mark(seq=last + beyond)))

    @invariant()
    def nothing_is_applied_that_was_not_acknowledged(self):
        for (request, attempt), expected in self.acked.items():
            found = [r for r in self.ledger.record(request) if r.attempt == attempt]
            assert found in ([], [expected])

    def _left(self) -> bool:
        after = self.ledger.cursor(NODE, self.outbox.name).seq
        return bool(self.runner.run(self.outbox.read("ledger", after, 1)).rows)

    def teardown(self):
        if not hasattr(self, "runner"):
            return
        while self._left():
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
