"""Breakers, and the throttle toward external APIs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.breaker import CONNECTS, FIRST_S, LONGEST_S, Breaker, Throttle, ejected


def run(breaker, outcomes, *, start=0.0, step=0.1):
    """Tell it outcomes, one each ``step`` seconds; the time after the last."""
    now = start
    for good in outcomes:
        breaker.mark(now)
        breaker.calls += 1
        if not good:
            breaker.failed(now, connect=False)
        elif breaker.alert:
            breaker.succeeded()
        now += step
    return now


def opened(now=0.0):
    breaker = Breaker()
    for _ in range(CONNECTS):
        breaker.calls += 1
        breaker.failed(now, connect=True)
    return breaker


def test_half_of_twenty_calls_open_it():
    breaker = Breaker()
    run(breaker, [True, False] * 9 + [True])
    assert not breaker.is_open
    run(breaker, [False], start=1.9)
    assert breaker.is_open


def test_fewer_calls_than_twenty_do_not():
    breaker = Breaker()
    run(breaker, [False] * 19)
    assert not breaker.is_open


def test_less_than_half_does_not():
    breaker = Breaker()
    run(breaker, [True, True, False] * 40)
    assert not breaker.is_open


def test_failures_older_than_the_window_do_not_count():
    breaker = Breaker()
    run(breaker, [False] * 15, step=1.0)
    assert not breaker.is_open


def test_successes_within_the_window_count_even_when_they_came_before_the_first_failure():
    breaker = Breaker()
    now = run(breaker, [True] * 90)
    run(breaker, [False] * 25, start=now, step=0.01)
    assert not breaker.is_open


def test_successes_before_the_window_do_not_count():
    breaker = Breaker()
    run(breaker, [True] * 1000)
    run(breaker, [False] * 20, start=120.0)
    assert breaker.is_open


def test_connect_errors_in_a_row_open_it_and_a_success_between_does_not_let_them():
    breaker = Breaker()
    for _ in range(3):
        for _ in range(CONNECTS - 1):
            breaker.calls += 1
            breaker.failed(0.0, connect=True)
        breaker.succeeded()
    assert not breaker.is_open
    assert opened().is_open


def test_one_probe_goes_when_the_pause_is_over_and_a_success_closes_it():
    breaker = opened()
    assert not breaker.may_probe(FIRST_S - 0.01)
    assert breaker.may_probe(FIRST_S)
    breaker.probing = True
    assert not breaker.may_probe(FIRST_S + 60)
    assert breaker.succeeded()
    assert not breaker.is_open
    assert not breaker.alert


def test_each_failed_probe_doubles_the_pause_up_to_its_bound():
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(6):
        pauses.append(breaker.due - now)
        now = breaker.due
        breaker.probing = True
        breaker.failed(now, connect=False)
    assert pauses == [5.0, 10.0, 20.0, 40.0, LONGEST_S, LONGEST_S]


def test_a_failure_that_is_no_probe_does_not_lengthen_the_pause():
    breaker = opened()
    breaker.failed(1.0, connect=False)
    assert breaker.due == FIRST_S


def test_a_probe_that_was_called_off_lets_another_go():
    breaker = opened()
    breaker.probing = True
    breaker.let_go()
    assert breaker.may_probe(FIRST_S)


def test_after_it_closed_old_failures_do_not_count():
    breaker = opened()
    breaker.probing = True
    breaker.succeeded()
    run(breaker, [False] * 4 + [True] * 8 + [False] * 7, start=6.0)
    assert not breaker.is_open


@given(st.lists(st.booleans(), max_size=9), st.integers(0, 511))
def test_at_most_half_are_ejected_and_only_open_ones(states, before):
    breakers = [opened() if is_open else Breaker() for is_open in states]
    mask = ejected(breakers, before=before)
    out = [at for at in range(len(states)) if mask >> at & 1]
    assert len(out) == min(len(states) // 2, sum(states))
    assert all(states[at] for at in out)
    assert ejected(breakers, before=mask) == mask


def test_a_throttle_lets_everything_go_while_half_is_taken():
    throttle = Throttle()
    for number in range(100):
        assert not throttle.refuses(1.0)
        throttle.outcome(1.0, taken=number % 2 == 0)


def test_a_throttle_sends_an_overloaded_api_about_twice_what_it_takes():
    throttle, sent, taken = Throttle(), 0, 0
    for number in range(20_000):
        now = number * 0.01
        if not throttle.refuses(now):
            free = now >= taken * 0.1  # it takes ten a second of a hundred
            throttle.outcome(now, taken=free)
            sent, taken = sent + 1, taken + free
    assert taken == pytest.approx(2000, rel=0.05)
    assert sent == pytest.approx(4000, rel=0.2)


def test_a_throttle_always_lets_some_try():
    throttle = Throttle()
    for _ in range(100_000):
        throttle.outcome(1.0, taken=False)
    assert sum(not throttle.refuses(2.0) for _ in range(1000)) == pytest.approx(50, abs=2)


def test_a_throttle_forgets_after_two_minutes():
    throttle = Throttle()
    for _ in range(100):
        throttle.outcome(1.0, taken=False)
    assert any([throttle.refuses(2.0), throttle.refuses(2.0)])
    throttle.outcome(140.0, taken=True)
    assert (throttle.sent, throttle.taken) == (1, 1)
