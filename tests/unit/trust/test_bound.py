"""A share as the words that gateways go by, and what a table does with them."""

import pytest

from littoral.domain.limits import NEVER_US, PERIODS, Budget, Limits
from littoral.domain.quota import (
    CAP_SINCE,
    DENIED,
    INTERVAL,
    INTERVAL_IN,
    OPEN,
    PACE,
    PACE_IN,
    PERIOD,
    REQUESTS,
    SINCE,
    TOKENS,
    UNTIL,
    WANT,
    Charge,
    Use,
)
from littoral.domain.share import WHOLE, Slice
from littoral.testing.quota import quota_table
from littoral.trust.bound import bound

HOUR = 3_600_000_000
LIMITS = Limits(
    requests_per_minute=60,
    tokens_per_minute=600,
    concurrent=4,
    budget=Budget(amount=1e-6, period="hour"),
)
HALF = Slice(since=HOUR, amount=500, standing=400, rate=WHOLE // 2, open=2)


@pytest.fixture
def table():
    return quota_table()


def words(table, *places):
    return [table.words[table.at(0) + place] for place in places]


def test_half_a_share_comes_back_half_as_fast(table):
    bound(table, 0, limits=LIMITS, given=HALF)
    assert words(table, PACE, INTERVAL, OPEN) == [2_000_000_000, 200_000_000, 2]
    assert words(table, PACE_IN, INTERVAL_IN) == [2_000_000_000, 200_000_000]


def test_a_share_is_never_more_than_what_was_declared(table):
    large = Slice(since=HOUR, amount=9999, standing=9999, rate=WHOLE, open=99)
    bound(table, 0, limits=LIMITS, given=large)
    assert (table.cap(0, HOUR), table.cap(0, 2 * HOUR), words(table, OPEN)) == (1000, 1000, [4])
    bound(table, 0, limits=Limits(), given=large)
    assert (table.cap(0, HOUR), words(table, OPEN, PACE, INTERVAL)) == (0, [0, 0, 0])


def test_money_is_for_its_period_and_standing_money_for_later_ones(table):
    bound(table, 0, limits=LIMITS, given=HALF)
    assert [table.cap(0, since) for since in (0, HOUR, 2 * HOUR)] == [0, 500, 400]


def test_no_amount_is_seen_with_the_period_of_another(table):
    bound(table, 0, limits=LIMITS, given=HALF)
    seen = []

    class Watched:
        def __setitem__(self, place, value):
            table.words[place] = value
            seen.append(table.cap(0, 2 * HOUR))

        def __getitem__(self, place):
            return table.words[place]

    class Twin:
        words = Watched()
        at = staticmethod(table.at)

    bound(Twin(), 0, limits=LIMITS, given=Slice(since=2 * HOUR, amount=300, standing=100))
    assert set(seen) <= {400, 100, 0, 300}
    assert 500 not in seen
    assert table.cap(0, 2 * HOUR) == 300
    assert NEVER_US > 2 * HOUR == words(table, CAP_SINCE)[0]


def test_the_period_of_the_next_request_is_known_before_it_comes(table):
    table.words[table.at(0) + PERIOD] = PERIODS.index("hour")
    table.words[table.at(0) + SINCE] = HOUR
    table.words[table.at(0) + UNTIL] = 2 * HOUR
    assert table.since(0, HOUR + 5) == HOUR
    assert table.since(0, 3 * HOUR + 5) == 3 * HOUR


def test_refusals_are_counted_with_the_money_that_was_wanted(table):
    table.deny(0)
    table.deny(0, 70)
    table.deny(0)
    assert words(table, DENIED, WANT) == [3, 70]


def test_what_was_used_stays_used_when_a_share_changes(table):
    bound(table, 0, limits=LIMITS, given=Slice(rate=WHOLE))
    table.words[table.at(0) + REQUESTS] = 1000 + 5_000_000_000
    table.words[table.at(0) + TOKENS] = 10
    bound(table, 0, limits=LIMITS, given=HALF)
    table.repace(0, 1000)
    assert words(table, REQUESTS, TOKENS) == [1000 + 10_000_000_000, 10]
    assert words(table, PACE_IN, INTERVAL_IN) == words(table, PACE, INTERVAL)
    table.repace(0, 1000)
    assert words(table, REQUESTS) == [1000 + 10_000_000_000]
    bound(table, 0, limits=LIMITS, given=Slice())
    table.repace(0, 1000)
    assert words(table, REQUESTS, PACE_IN) == [1000 + 10_000_000_000, 0]


def test_tokens_that_are_settled_count_by_the_share_of_then(table):
    bound(table, 0, limits=LIMITS, given=Slice(rate=WHOLE))
    table.words[table.at(0) + TOKENS] = 1000 + 100_000_000
    bound(table, 0, limits=LIMITS, given=HALF)
    table.settle(1, Charge((0,), 0, 0), Use(tokens=1, money=0, at_us=0, now_ns=1000))
    assert words(table, TOKENS) == [1000 + 400_000_000]
