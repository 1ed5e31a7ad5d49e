"""The comparison of books finds a product that is broken on purpose."""

from dataclasses import replace

import anyio
import pytest
from anyio import lowlevel

from littoral.app.command.lab import WIRE
from littoral.domain.outbox import Mark, receipt
from littoral.domain.quota import QuotaTable
from littoral.lab.box import COLUMNS, ROWS, Box, SyncedDeferrals, SyncedDisk, SyncedOutbox
from littoral.lab.cloud import SyncedLedger
from littoral.lab.fleet import Broken, Plan, run_fleet
from littoral.lab.hop import PROJECTS
from littoral.node.serve import serve
from littoral.testing.registrar import MemoryRegistrar

pytestmark = pytest.mark.timeout(120)


PLAN = Plan(edges=6, hours=1.5, seed=3, request_s=100.0)


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


async def shy(parts, *, stop):
    """A node that never asks for a new certificate by proof of its key."""
    joined = replace(parts.tools.joined, registrar=MemoryRegistrar({}))
    await serve(replace(parts, tools=replace(parts.tools, joined=joined)), stop=stop)


class Carefree(QuotaTable):
    """Counts nothing of what was spent: each node has all of its share again and again."""

    def taken(self, row):
        del row
        return 0


class CarefreeBox(Box):
    def quota(self, mine):
        known = super().quota(mine)
        return Carefree(known.words, columns=COLUMNS, mine=mine, rows=ROWS)


class Absent(SyncedDeferrals):
    """Says that a request is kept, and now and then keeps it not."""

    async def accept(self, deferral, *, room):
        kept = await super().accept(deferral, room=room)
        if self._chance.random() < 0.3:
            await self.delete(kept.project, kept.id)
        return kept


class Hasty(SyncedDeferrals):
    """Says that an answer is kept, and now and then keeps it not."""

    async def end(self, deferral):
        return self._chance.random() < 0.3 or await super().end(deferral)


class Fickle(SyncedDeferrals):
    """Keeps an idempotency key for nobody: who asks again is kept again."""

    async def known(self, project, idempotency):
        del project, idempotency

    async def accept(self, deferral, *, room):
        await super().accept(replace(deferral, id=f"{deferral.id}.0"), room=room)
        return await super().accept(deferral, room=room)


def box_with(deferrals: type[SyncedDeferrals]) -> type[Box]:
    class Changed(Box):
        def __init__(self, outbox, chance):
            super().__init__(outbox, chance)
            self.deferrals = deferrals(self.clock, chance)

    return Changed


def wrong(broken: Broken, plan: Plan = PLAN) -> str:
    return "\n".join(run_fleet(plan, WIRE, broken=broken).wrong)


def test_a_product_that_is_whole_is_found_whole():
    assert wrong(Broken()) == ""


def test_records_that_are_applied_twice_are_found():
    assert "times in the ledger" in wrong(Broken(ledger=Twice))


def test_an_acknowledgement_before_the_sync_is_found():
    assert "is lost" in wrong(Broken(box=EarlyBox))


def test_a_snapshot_that_was_not_on_disk_is_found():
    assert "served after" in wrong(Broken(box=ForgetfulBox))


def test_a_limit_that_all_nodes_together_overrun_is_found():
    assert "nano-units used" in wrong(Broken(box=CarefreeBox), replace(PLAN, request_s=40.0))


def test_a_deferred_request_that_was_accepted_and_not_kept_is_found():
    assert "was accepted, and is lost" in wrong(Broken(box=box_with(Absent)))


def test_an_answer_to_a_deferred_request_that_is_booked_and_lost_is_found():
    assert "in the ledger, and still to be run" in wrong(Broken(box=box_with(Hasty)))


def test_a_deferred_request_that_is_kept_twice_is_found():
    assert "was accepted twice" in wrong(Broken(box=box_with(Fickle)))


def test_a_confidential_request_that_leaves_its_set_is_found():
    open_to_all = dict.fromkeys(PROJECTS, "any")
    assert "(edge-only) came from" in wrong(Broken(declared=open_to_all))


def test_a_node_that_ends_by_itself_is_found():
    assert "ended by itself: ValueError" in wrong(Broken(serve=fragile))


def test_nodes_that_do_not_come_back_after_all_clocks_went_ahead_are_found():
    plan = replace(PLAN, hours=0.5, fault_s=600.0, faults={"leap": 1.0})
    assert "not converged" in wrong(Broken(serve=shy), plan)
