"""What the outbox and control's ledger say was spent is the same, to the nano-unit."""

from collections import Counter
from dataclasses import replace

import apsw
import pytest

from littoral.domain.ids import KeyId, NodeId
from littoral.domain.limits import Spent, nanos
from littoral.domain.units import Micros
from littoral.stores import spending
from littoral.stores.sqlite import run
from littoral.testing.ledger import MemoryLedger
from littoral.testing.usage import usage_record

HOUR = 3_600_000_000
NODE = NodeId("nd")
pytestmark = pytest.mark.anyio


@pytest.fixture
def file():
    connection = apsw.Connection(":memory:")
    run(connection, spending.TABLE)
    yield connection
    connection.close()


def records():
    return [
        replace(usage_record(n), key=KeyId(f"k{n % 3}"), cost=n * 0.000_001_3) for n in range(200)
    ]


async def test_control_and_the_outbox_agree_on_what_each_key_spent(bench):
    given = records()
    ledger = MemoryLedger()
    async with bench.open() as outbox:
        for start in range(0, 200, 30):
            await outbox.append(given[start : start + 30])
            await outbox.append(given[start : start + 5])
        while (batch := await outbox.read("ledger", ledger.cursor(NODE, outbox.name).seq, 90)).rows:
            ledger.apply(NODE, outbox.name, batch)
        await outbox.stored("ledger", ledger.cursor(NODE, outbox.name), safe=200)
        spent = Counter({each.limit: each.amount for each in await outbox.spent()})
    booked = {f"key:{row.key}": row.cost for row in ledger.sums(by=("key",))}
    assert {name: nanos(cost) for name, cost in booked.items()} == {
        name: amount for name, amount in spent.items() if name.startswith("key:")
    }


def test_old_hours_are_summed_up_and_recent_ones_stay(file):
    now = 1000 * 24 * HOUR
    old, recent = now - 40 * 24 * HOUR, now - HOUR
    for at in (old, old - HOUR, recent):
        spending.add(file, [replace(usage_record(1), key=KeyId("k"), at_us=Micros(at), cost=1.0)])
    for _ in range(2):
        spending.fold(file, now)
    found = {each for each in spending.read(file) if each.limit == "key:k"}
    assert found == {
        Spent(limit="key:k", hour=0, amount=2_000_000_000),
        Spent(limit="key:k", hour=recent // HOUR, amount=1_000_000_000),
    }


def test_a_row_that_is_no_spending_is_damage(file):
    run(file, "drop table spent")
    run(file, "create table spent(scope, hour, amount)")
    run(file, "insert into spent values('a', 1, 'much')")
    with pytest.raises(apsw.CorruptError):
        spending.read(file)
