"""The quota table: sections that happen as a whole, and what the node finds after a death."""

import pytest

from littoral.domain.limits import PERIODS, period_of
from littoral.domain.quota import (
    BASE,
    IDLE,
    INTERVAL,
    NAME_BYTES,
    PERIOD,
    REQUESTS,
    SINCE,
    TOKENS,
    UNTIL,
    Charge,
    Lost,
    QuotaTable,
    Use,
    names,
    rename,
    renew,
    table_bytes,
)
from littoral.testing.quota import quota_table

HOUR = 3_600_000_000


class Guard:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def acquire(self) -> None:
        self.steps.append("in")

    def attempt(self) -> bool:
        self.acquire()
        return True

    def release(self) -> None:
        self.steps.append("out")


def view(table: QuotaTable, mine: int, guard: Guard | None = None) -> QuotaTable:
    return QuotaTable(table.words, columns=3, mine=mine, guard=guard, rows=table.rows)


@pytest.fixture
def table() -> QuotaTable:
    return quota_table(columns=3)


def open_one(table: QuotaTable, row: int, tokens: int = 7, money: int = 100) -> Charge:
    table.acquire()
    table.begin([row], 0, opening=True)
    table.reserve(row, tokens, money)
    table.seal()
    return Charge((row,), tokens, money)


def test_what_is_open_in_all_columns_counts(table):
    open_one(table, 2)
    open_one(view(table, 2), 2, tokens=5, money=50)
    assert (table.under_way(2), table.held(2), table.taken(2)) == (2, 12, 150)
    assert (table.under_way(1), table.held(1), table.taken(1)) == (0, 0, 0)


def test_a_settled_request_holds_nothing_and_has_spent_what_it_cost(table):
    table.words[table.at(2) + INTERVAL] = 10
    charge = open_one(table, 2)
    table.acquire()
    table.begin(charge.rows, 0, opening=False)
    table.settle(1, charge, Use(tokens=3, money=40, at_us=5, now_ns=1_000))
    table.seal()
    assert (table.under_way(2), table.held(2), table.taken(2)) == (0, 0, 40)
    assert table.words[table.at(2) + TOKENS] == 1_030


def test_a_new_period_begins_with_nothing_spent_and_old_requests_stay_in_the_old_one(table):
    words, at = table.words, table.at(0)
    words[at + PERIOD] = PERIODS.index("hour")
    words[at + SINCE], words[at + UNTIL] = period_of("hour", 5)
    old, spent = open_one(table, 0), open_one(table, 0)
    table.settle(1, spent, Use(tokens=1, money=30, at_us=5, now_ns=0))
    assert table.taken(0) == 130
    table.roll(0, HOUR + 1)
    assert (words[at + SINCE], words[at + UNTIL]) == (HOUR, 2 * HOUR)
    assert table.taken(0) == 0
    new = open_one(table, 0, money=9)
    table.settle(1, old, Use(tokens=1, money=99, at_us=5, now_ns=0))
    assert table.taken(0) == 9
    table.settle(1, new, Use(tokens=1, money=8, at_us=HOUR + 1, now_ns=0))
    assert table.taken(0) == 8


def test_whoever_enters_next_undoes_what_a_dead_process_left_half_done(table):
    words = table.words
    guard = Guard()
    dead = view(table, 1, guard)
    open_one(dead, 0)
    dead.acquire()
    dead.begin([0, 3], 4, opening=True)
    words[table.at(0) + REQUESTS] = 77
    words[table.at(3) + BASE] = 5
    dead.reserve(0, 1, 1)
    other = view(table, 2, Guard())
    other.acquire()
    assert words[table.at(0) + REQUESTS] == words[table.at(3) + BASE] == 0
    assert (other.under_way(0), other.taken(0)) == (1, 100)
    other.leave()
    assert view(table, 0).undo(1) == Lost(4, opening=True)


def test_a_section_that_was_sealed_is_not_undone(table):
    open_one(table, 0)
    assert table.journal == IDLE
    assert table.undo(1) == Lost(-1, opening=False)
    assert table.under_way(0) == 1


def test_what_was_lost_is_told_until_it_is_forgotten(table):
    rename(table.words, 0, "a")
    charge = open_one(table, 0)
    table.acquire()
    table.begin(charge.rows, 9, opening=False)
    table.settle(1, charge, Use(tokens=1, money=60, at_us=1, now_ns=0))
    for _ in range(2):
        assert view(table, 0).undo(1) == Lost(9, opening=False)
        assert table.taken(0) == 100
    table.forget(1)
    assert view(table, 0).undo(1) == Lost(-1, opening=False)
    assert (table.under_way(0), table.held(0), table.taken(0)) == (0, 0, 0)


def test_a_guard_is_let_go_once_for_each_time_it_was_taken(table):
    guard = Guard()
    guarded = view(table, 1, guard)
    open_one(guarded, 0)
    guarded.acquire()
    guarded.leave()
    assert guard.steps == ["in", "out"] * 2


def test_the_node_counts_in_a_column_of_its_own_and_may_clear_a_row(table):
    node = view(table, 0)
    node.spend(1, 30)
    open_one(table, 1)
    assert table.taken(1) == 130
    node.clear(1)
    assert (table.under_way(1), table.taken(1)) == (0, 0)


def test_rows_are_known_by_their_names(table):
    rename(table.words, 3, "key:ä")
    rename(table.words, 5, "x" * NAME_BYTES)
    assert names(table.words) == {"key:ä": 3, "x" * NAME_BYTES: 5}
    rename(table.words, 3, "")
    assert list(names(table.words).values()) == [5]


def test_another_boot_ends_rates_and_another_layout_ends_everything(table):
    rename(table.words, 2, "a")
    table.words[table.at(2) + REQUESTS] = table.words[table.at(2) + TOKENS] = 9
    table.words[table.at(2) + SINCE] = 4
    renew(table.words, 1, table.rows)
    assert table.words[table.at(2) + REQUESTS] == 9
    renew(table.words, 2, table.rows)
    assert table.words[table.at(2) + REQUESTS] == table.words[table.at(2) + TOKENS] == 0
    assert (names(table.words), table.words[table.at(2) + SINCE]) == ({"a": 2}, 4)
    table.words[0] = 1
    renew(table.words, 2, table.rows)
    assert names(table.words) == {}
    assert table.words[table.at(2) + SINCE] == 0


def test_rows_beyond_the_last_that_was_named_are_left_alone(table):
    assert table.top == 0
    rename(table.words, 2, "a")
    rename(table.words, 1, "b")
    assert table.top == 3
    table.words[table.at(3) + REQUESTS] = table.words[table.at(2) + REQUESTS] = 9
    renew(table.words, 2, table.rows)
    assert (table.words[table.at(2) + REQUESTS], table.words[table.at(3) + REQUESTS]) == (0, 9)
    table.words[0] = 0
    renew(table.words, 2, table.rows)
    assert table.words[table.at(3) + REQUESTS] == 9


def test_a_table_is_as_large_as_its_last_column():
    assert len(memoryview(bytearray(table_bytes(3, 8))).cast("q")) * 8 == table_bytes(3, 8)
    table = quota_table(columns=3, mine=2)
    open_one(table, 7)
    assert table.under_way(7) == 1


def test_whoever_may_not_wait_enters_only_where_nobody_is(table):
    class Taken(Guard):
        def attempt(self) -> bool:
            return False

    assert table.attempt()
    refused = view(table, 0, Taken())
    assert not refused.attempt()
    assert refused.owner == -1
    free = view(table, 0, Guard())
    assert free.attempt()
    assert (free.owner, free.shared, table.shared) == (0, True, False)
    free.leave()
    assert free.owner == -1


def test_each_gateway_sees_the_load_that_others_put_on_an_endpoint(table):
    one, two = table.loads(1), table.loads(2)
    one.put(5, 3)
    two.put(5, 4)
    assert (one.elsewhere(5), two.elsewhere(5), one.elsewhere(6)) == (4, 3, 0)
    view(table, 0).forget(2)
    assert (one.elsewhere(5), two.elsewhere(5)) == (0, 3)
