"""The comparison of books finds a product that is broken on purpose."""

from dataclasses import replace

import anyio
import pytest
from anyio import lowlevel

from littoral.app.command.lab import WIRE
from littoral.domain.outbox import Mark, receipt
from littoral.lab.box import Box, SyncedDisk, SyncedOutbox
from littoral.lab.cloud import SyncedLedger
from littoral.lab.fleet import Broken, Plan, run_fleet
from littoral.node.serve import serve

pytestmark = pytest.mark.timeout(120)


PLAN = Plan(edges=6, hours=3.0, seed=3)


class Twice(SyncedLedger):
    """Applies whatever it is sent: no cursor, no request twice is known."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def apply(self, node, outbox, batch):
        for row in batch.rows:
            self.count += 1
            record = replace(row.usage, attempt=self.count)
            alone = replace(batch, prev_mac=b"", rows=(replace(row, seq=1, usage=record),))
            super().apply(node, f"{outbox}/{self.count}", alone)
        return replace(receipt("next", batch.rows, Mark()), mark=batch.end)

    def cursor(self, node, outbox):
        del node, outbox
        return Mark()


class Early(SyncedOutbox):
    """Says that records are synced before they are: the next death takes them."""

    async def append(self, records):
        life = self.life
        last = await super(SyncedOutbox, self).append(records)
        await lowlevel.checkpoint()
        if self._chance.random() < 0.05:
            self._lanes["ledger"].rows.pop()
        life.check()
        return last


class Forgetful(SyncedDisk):
    """Files that are not synced: the process that wrote them sees them, the next one does not."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = {}

    def read(self, path):
        return self.kept.get(path)

    def write(self, path, data, *, private=True):
        self.kept.setdefault(path, bytes(data))
        super().write(path, data, private=private)


class EarlyBox(Box):
    def __init__(self, outbox, chance):
        super().__init__(outbox, chance)
        self.outbox = Early(outbox, self.clock, chance)


class ForgetfulBox(Box):
    def __init__(self, outbox, chance):
        super().__init__(outbox, chance)
        self.disk = Forgetful()


async def fragile(parts, *, stop):
    """A node that ends by itself after an hour."""
    with anyio.move_on_after(1200.0):
        await serve(parts, stop=stop)
    raise ValueError("a node of glass")


def wrong(broken: Broken) -> str:
    return "\n".join(run_fleet(PLAN, WIRE, broken=broken).wrong)


def test_a_product_that_is_whole_is_found_whole():
    assert wrong(Broken()) == ""


def test_records_that_are_applied_twice_are_found():
    assert "times in the ledger" in wrong(Broken(ledger=Twice))


def test_an_acknowledgement_before_the_sync_is_found():
    assert "is lost" in wrong(Broken(box=EarlyBox))


def test_a_snapshot_that_was_not_on_disk_is_found():
    assert "served after" in wrong(Broken(box=ForgetfulBox))


def test_a_node_that_ends_by_itself_is_found():
    assert "ended by itself: ValueError" in wrong(Broken(serve=fragile))
