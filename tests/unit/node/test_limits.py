"""The node's side of limits: rows, what was spent before, and requests of a gateway that died."""

import pytest

from littoral.domain.flight import CHARGED, OPEN, SETTLED, SLOT_BYTES, charge, identity, read, write
from littoral.domain.limits import Budget, Limits, Spent
from littoral.domain.quota import INTERVAL, REQUESTS, TOKENS, Charge, QuotaTable, Use
from littoral.domain.units import HOUR_US, Micros
from littoral.node.booking import Booking, FlightTable
from littoral.node.limits import QUIET, LimitRows
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import Crash
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.usage import usage_rows

RPM = Limits(requests_per_minute=5)
DAY = Limits(budget=Budget(amount=1.0, period="day"))
MONTH = Limits(budget=Budget(amount=1.0, period="month"))


@pytest.fixture
def table() -> QuotaTable:
    return quota_table(mine=0, rows=4)


@pytest.fixture
def clock() -> SettableClock:
    clock = SettableClock()
    clock.set_wall(Micros(500 * 24 * HOUR_US))
    return clock


@pytest.fixture
def rows(table, clock) -> LimitRows:
    return LimitRows(table, clock)


def gateway(table: QuotaTable) -> QuotaTable:
    return QuotaTable(table.words, columns=2, mine=1, rows=table.rows)


def spent(limit: str, hour: int, amount: int) -> Spent:
    return Spent(limit=limit, hour=hour, amount=amount)


def test_each_limit_has_a_row_that_it_keeps_over_restarts(table, rows, clock):
    first = rows.allot({"key:a": RPM, "key:b": RPM})
    assert sorted(first) == ["key:a", "key:b"]
    assert len(set(first.values())) == 2
    again = LimitRows(table, clock)
    again.restore((), ["key:b"])
    assert again.allot({"key:b": RPM}) == {"key:b": first["key:b"]}


def test_rows_of_limits_that_are_gone_are_free_after_a_restart(table, rows, clock):
    rows.allot({f"key:{n}": RPM for n in range(4)})
    table.words[table.at(0) + REQUESTS] = 9
    assert rows.allot({"key:new": RPM}) == {}
    again = LimitRows(table, clock)
    again.restore((), ["key:0"])
    assert set(again.allot({"key:0": RPM, "key:new": RPM})) == {"key:0", "key:new"}
    new = again.allot({"key:new": RPM})["key:new"]
    assert table.words[table.at(new) + REQUESTS] == 0


def test_a_budget_begins_with_what_its_period_has_seen(table, rows, clock):
    today = clock.wall() // HOUR_US
    history = [
        spent("key:a", 0, 1000),
        spent("key:a", today - 30, 100),
        spent("key:a", today, 10),
        spent("key:a", today, 1),
        spent("key:b", today, 7777),
    ]
    rows.restore(history, ())
    taken = {}
    for period in ("total", "month", "day"):
        limits = Limits(budget=Budget(amount=1.0, period=period))
        taken[period] = table.taken(rows.allot({"key:a": limits})["key:a"])
    assert taken == {"total": 1111, "month": 111, "day": 11}


def test_a_restart_counts_what_the_outbox_knows_and_nothing_else(table, rows, clock):
    row = rows.allot({"key:a": DAY})["key:a"]
    gateway(table).reserve(row, 5, 500)
    again = LimitRows(table, clock)
    again.restore([spent("key:a", clock.wall() // HOUR_US, 40)], ["key:a"])
    assert (table.taken(row), table.held(row), table.under_way(row)) == (40, 0, 0)


def test_another_period_is_another_row_with_the_same_rates(table, rows):
    one = rows.allot({"key:a": DAY})["key:a"]
    table.words[table.at(one) + REQUESTS] = 55
    table.words[table.at(one) + TOKENS] = 66
    other = rows.allot({"key:a": MONTH})["key:a"]
    assert other != one
    assert table.words[table.at(other) + REQUESTS] == 55
    assert table.words[table.at(other) + TOKENS] == 66


def test_a_row_says_how_long_a_token_takes_to_come_back(table, rows):
    row = rows.allot({"key:a": Limits(tokens_per_minute=60)})["key:a"]
    assert table.words[table.at(row) + INTERVAL] == 1_000_000_000
    rows.allot({"key:a": RPM})
    assert table.words[table.at(row) + INTERVAL] == 0


def flight(slot: int, *, state: int, held: Charge | None = None, out: int = 5) -> bytearray:
    table = bytearray(4 * SLOT_BYTES)
    put(table, slot, state=state, held=held, out=out)
    return table


def put(table, slot: int, *, state: int, held: Charge | None = None, out: int = 5) -> None:
    names = identity((f"r{slot}", "p", "k", "m", "d", "chat@1"))
    if held is not None:
        charge(table, slot, held)
    at_us = 500 * 24 * HOUR_US
    header = (CHARGED if held else 0, 0, 0, 7, 0, out, at_us, 10, 20, 30, 40, 1.0, 2.0)
    write(table, slot, state=state, header=header, names=names)


def test_a_budget_younger_than_a_request_counts_it_when_it_is_booked(table, rows):
    row = rows.allot({"project:p": DAY})["project:p"]
    old, new = flight(0, state=SETTLED), flight(0, state=SETTLED, held=Charge((row,), 1, 1))
    rows.booked([read(old, 0), read(new, 0)])
    assert table.taken(row) == 17_000


class Grave:
    """A gateway that died: its flights, and the node that books them."""

    def __init__(self, around, table: QuotaTable, rows: LimitRows, clock: SettableClock) -> None:
        self.flights = FlightTable(memoryview(bytearray(4 * SLOT_BYTES)))
        self.table, self.rows, self.around, self.clock = table, rows, around, clock
        self.dead = gateway(table)
        self.outbox = MemoryOutbox()
        limits = Limits(tokens_per_minute=60, concurrent=3, budget=Budget(amount=1.0, period="day"))
        self.row = rows.allot({"key:k": limits})["key:k"]

    def fly(self, slot: int, *, state: int) -> Charge:
        held = Charge((self.row,), 50, 90_000)
        self.dead.begin([self.row], slot, opening=True)
        self.dead.reserve(self.row, 50, 90_000)
        put(self.flights.memory, slot, state=state, held=held)
        self.dead.seal()
        return held

    def bury(self) -> dict[str, str]:
        booking = Booking(
            self.flights,
            self.outbox,
            self.rows,
            failpoints=self.around.failpoints,
            board=self.around.board,
            booked=lambda _records: None,
        )

        async def main() -> dict[str, str]:
            await booking.leftovers()
            found = [row.usage for row in await usage_rows(self.outbox) if row.usage is not None]
            return {each.request: each.status for each in found}

        return simulate(main)

    def state(self) -> tuple[int, int, int]:
        table, row = self.table, self.row
        return table.under_way(row), table.held(row), table.taken(row)


@pytest.fixture
def grave(around, table, rows, clock) -> Grave:
    return Grave(around, table, rows, clock)


def test_open_requests_of_a_dead_gateway_are_settled_with_what_was_counted(grave):
    grave.fly(0, state=OPEN)
    assert grave.state() == (1, 50, 90_000)
    assert grave.bury() == {"r0": "interrupted"}
    assert grave.state() == (0, 0, 17_000)
    tat = grave.table.words[grave.table.at(grave.row) + TOKENS]
    assert tat - int(grave.clock.now() * 1e9) == 12_000_000_000


def test_a_request_that_was_being_admitted_never_was(grave):
    grave.fly(0, state=OPEN)
    grave.dead.begin([grave.row], 1, opening=True)
    grave.dead.reserve(grave.row, 50, 90_000)
    put(grave.flights.memory, 1, state=OPEN, held=Charge((grave.row,), 50, 90_000))
    assert grave.bury() == {"r0": "interrupted"}
    assert grave.state() == (0, 0, 17_000)
    assert grave.flights.all() == []


@pytest.mark.parametrize("slot_written", [False, True])
def test_a_request_that_was_being_settled_is_settled_once(grave, slot_written):
    held = grave.fly(0, state=OPEN)
    grave.dead.begin([grave.row], 0, opening=False)
    grave.dead.settle(1, held, Use(tokens=12, money=17_000, at_us=1 << 60, now_ns=0))
    if slot_written:
        put(grave.flights.memory, 0, state=SETTLED, held=held)
    assert grave.bury() == {"r0": "ok" if slot_written else "interrupted"}
    assert grave.state() == (0, 0, 17_000)


def test_a_request_that_was_settled_is_not_settled_again(grave):
    held = grave.fly(0, state=OPEN)
    grave.dead.begin([grave.row], 0, opening=False)
    grave.dead.settle(1, held, Use(tokens=12, money=17_000, at_us=1 << 60, now_ns=0))
    put(grave.flights.memory, 0, state=SETTLED, held=held)
    grave.dead.seal()
    assert grave.bury() == {"r0": "ok"}
    assert grave.state() == (0, 0, 17_000)


def test_a_node_that_dies_between_the_sync_and_the_rows_begins_from_the_outbox(grave):
    grave.fly(0, state=OPEN)
    grave.around.failpoints.arm("slots.freed")
    with pytest.raises(Crash):
        grave.bury()
    grave.rows = LimitRows(grave.table, grave.clock)
    grave.bury()
    again = simulate(grave.outbox.spent)
    grave.rows.restore(again, ["key:k"])
    assert grave.state() == (0, 0, 17_000)


def test_the_node_waits_its_turn_while_a_gateway_is_inside(table, clock):
    class Late:
        tries = 3

        def attempt(self) -> bool:
            self.tries -= 1
            return self.tries < 0

        acquire = release = lambda _self: None

    node = QuotaTable(table.words, columns=2, mine=0, guard=Late(), rows=table.rows)
    rows = LimitRows(node, clock)

    async def main() -> bool:
        return (await rows.lost(1)).opening

    assert not simulate(main)
    assert Late.tries == 3
    table.words[1] = 2
    assert rows.held_by_other(0)
    assert not rows.held_by_other(1)


def test_the_row_of_a_limit_that_is_gone_is_free_once_nothing_counts_there(table, rows, clock):
    first = rows.allot({"key:a": RPM, "key:b": RPM})
    gone, busy = first["key:a"], gateway(table)
    busy.reserve(gone, 1, 0)
    table.words[table.at(gone) + REQUESTS] = 9
    assert set(rows.allot({"key:b": RPM})) == {"key:b"}
    clock.advance(QUIET + 1)
    assert rows.leaving() == ()
    rows.release(("key:a|-",))
    busy.settle(1, Charge((gone,), 1, 0), Use(1, 0, clock.wall(), 0))
    assert rows.leaving() == ("key:a|-",)
    rows.release(rows.leaving())
    assert rows.leaving() == ()
    assert set(rows.allot({f"key:{n}": RPM for n in "bcde"})) == {f"key:{n}" for n in "bcde"}
    assert table.words[table.at(gone) + REQUESTS] == 0
    assert table.under_way(gone) == 0


def test_a_limit_that_is_back_in_time_keeps_its_row(table, rows, clock):
    first = rows.allot({"key:a": RPM})
    table.words[table.at(first["key:a"]) + REQUESTS] = 9
    rows.allot({})
    clock.advance(QUIET + 1)
    assert rows.leaving() == ("key:a|-",)
    assert rows.allot({"key:a": RPM}) == first
    rows.release(("key:a|-", "key:never|-"))
    assert table.words[table.at(first["key:a"]) + REQUESTS] == 9
    assert rows.leaving() == ()
