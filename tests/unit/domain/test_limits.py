from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.limits import (
    NEVER_US,
    PERIODS,
    Spent,
    limit_ids,
    nanos,
    period_named,
    period_of,
    spendings,
)
from littoral.testing.usage import usage_record


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("period", "since", "until"),
    [
        ("hour", us(2026, 12, 31, 23), us(2027, 1, 1)),
        ("day", us(2026, 12, 31), us(2027, 1, 1)),
        ("month", us(2026, 12, 1), us(2027, 1, 1)),
        ("total", 0, NEVER_US),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(period, since, until):
    for at in (us(2026, 12, 31, 23, 59, 59), us(2027, 1, 1) - 1):
        assert period_of(period, at) == (since, until)


def test_february_has_its_own_length():
    assert period_of("month", us(2028, 2, 29, 12)) == (us(2028, 2, 1), us(2028, 3, 1))


@given(st.sampled_from(PERIODS), st.integers(0, us(2100, 1, 1)))
def test_a_moment_lies_in_its_period_and_the_next_one_begins_where_it_ends(period, at):
    since, until = period_of(period, at)
    assert since <= at < until
    if until != NEVER_US:
        assert period_of(period, until)[0] == until


def test_a_period_is_known_by_its_name():
    assert period_named("day") == "day"
    assert period_named("week") is None


def test_what_records_cost_is_summed_by_key_project_and_model_and_hour():
    one = usage_record(1, key="k", project="p", model="m", at_us=us(2026, 1, 1, 5), cost=1e-9)
    later = usage_record(2, key="k", project="p", model="n", at_us=us(2026, 1, 1, 6), cost=0.5)
    free = usage_record(3, key="other", cost=0.0)
    hour = us(2026, 1, 1, 5) // 3_600_000_000
    found = set(spendings([one, one, later, free]))
    assert Spent(limit="key:k", hour=hour, amount=2) in found
    assert Spent(limit="key:k", hour=hour + 1, amount=500_000_000) in found
    assert {each.limit for each in found} == {*limit_ids("k", "p", "m"), "model:n"}


def test_money_is_whole_nano_units():
    assert [nanos(0.1 + 0.2), nanos(1e-9), nanos(4e-10)] == [300_000_000, 1, 0]
