"""The pace with each number in service, and the mean seconds that follow from it."""

import math

import pytest

from littoral.cost.chain import chain
from littoral.cost.pace import Pace, expected, paces


def beside(count, *, each_s, turns, begin=0.0):
    """Tasks of always ``count`` at a time but at the ends, one after the other."""
    gap = each_s / count
    return [(begin + at * gap, begin + at * gap + each_s) for at in range(turns * count)]


def test_the_pace_is_what_ended_by_the_time_with_so_many():
    spans = beside(1, each_s=1.0, turns=10) + beside(2, each_s=1.25, turns=8, begin=20.0)
    alone, two = paces(spans, 2)
    assert alone.rate == pytest.approx(1.0, rel=0.1)
    assert two.rate == pytest.approx(1.6, rel=0.01)
    assert alone.error == pytest.approx(1 / math.sqrt(11))


def test_tasks_that_follow_each_other_at_once_never_leave_a_gap_that_counts():
    found = paces([(0.0, 1.0), (0.5, 2.0), (3.0, 4.0)], 4)
    assert found[0].rate == pytest.approx(2 / 2.5)
    assert found[1].rate == pytest.approx(1 / 0.5)
    assert found[2] == found[3] == found[1]


def test_more_tasks_that_seem_slower_together_are_joined():
    slower = beside(1, each_s=1.0, turns=10) + beside(2, each_s=4.0, turns=10, begin=20.0)
    alone, two = paces(slower, 2)
    assert alone == two
    assert alone.rate == pytest.approx(30 / 52)


def test_numbers_that_were_never_seen_have_the_pace_of_a_neighbour():
    found = paces([(0.0, 2.0), (0.0, 2.0), (0.0, 2.0)], 4)
    assert found[0] == found[1] == found[2] == found[3]


def test_a_number_that_was_passed_in_no_time_is_joined_to_the_next():
    found = paces([(0.0, 2.0), (0.0, 2.0), (0.0, 3.0)], 3)
    assert found[0].rate == found[1].rate


def test_who_waits_is_not_in_service():
    assert paces([(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)], 1)[0].rate == pytest.approx(1.0)


def test_nothing_seen_says_nothing():
    assert paces([], 4) == ()


SURE = (Pace(1.0, 0.0), Pace(1.6, 0.0))
VAGUE = (Pace(1.0, 0.1), Pace(1.6, 0.1))


def test_the_middle_is_the_chains_and_lies_between_the_bounds():
    found = expected(0.8, VAGUE, span_s=600.0)
    assert found.sojourn_s == chain(0.8, (1.0, 1.6)).sojourn_s
    assert found.low < found.sojourn_s < found.high


def test_bounds_narrow_with_time_and_with_what_is_known():
    sure, vague = expected(0.8, SURE, span_s=600.0), expected(0.8, VAGUE, span_s=600.0)
    longer = expected(0.8, SURE, span_s=6000.0)
    assert vague.high > sure.high > longer.high
    assert vague.low < sure.low < longer.low


def test_reading_raises_the_upper_bound_alone():
    plain, reading = (expected(0.8, SURE, span_s=600.0, reading=share) for share in (0.0, 0.5))
    assert reading.low == plain.low
    assert reading.high == pytest.approx(plain.high / 0.74)


def test_a_server_that_is_too_slow_never_ends():
    found = expected(1.6, SURE, span_s=600.0)
    assert found.low == found.sojourn_s == found.high == math.inf
    assert not found.balance.stable


def test_a_long_line_of_states_is_cut_somewhere():
    found = expected(0.9999, (Pace(1.0, 0.0),), span_s=1e6)
    assert found.sojourn_s == pytest.approx(1e4, rel=0.01)
    assert found.low == 0.0


def test_the_wandering_of_one_server_is_that_of_the_textbook():
    # M/M/1: the variance of the mean number over t is 2 rho (1 + rho) / (mu t (1 - rho)^4)
    found = expected(0.5, (Pace(1.0, 0.0),), span_s=1e4)
    spread = math.sqrt(2 * 0.5 * 1.5 / 0.5**4 / 1e4) / 0.5
    assert found.high - found.sojourn_s == pytest.approx(1.96 * spread, rel=0.01)
