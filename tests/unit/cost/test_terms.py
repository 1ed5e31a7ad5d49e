import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.terms import decode, prefill, stretch, transfer

AMOUNT = st.floats(0, 1e9)
SPEED = st.floats(1e-3, 1e9)


def test_no_bytes_take_no_time_and_a_dead_link_takes_for_ever():
    assert transfer(0, 0) == 0.0
    assert transfer(1, 0) == math.inf
    assert transfer(1, -1) == math.inf
    assert transfer(10, 5) == 2.0


@given(AMOUNT, AMOUNT, SPEED, SPEED)
def test_more_bytes_take_longer_and_more_goodput_less(small, more, slow, more_speed):
    assert transfer(small + more, slow) >= transfer(small, slow)
    assert transfer(small, slow + more_speed) <= transfer(small, slow)


def test_at_least_one_token_is_read():
    assert prefill(0.5, 0) == prefill(0.5, 1) == 0.5
    assert prefill(0.5, 10) == 5.0


def test_the_first_token_comes_out_of_the_prefill():
    assert decode(0.01, 0.6, 1, 4) == decode(0.01, 0.6, 0, 4) == 0.0
    assert decode(0.01, 0.6, 101, 1) == pytest.approx(1.0)
    assert decode(0.01, 0.6, 101, 4) == pytest.approx(2.8)


@given(st.floats(0, 10), st.floats(0, 2), st.integers(0, 10_000), st.integers(1, 64))
def test_decode_rises_with_tokens_and_company(step, pen, n_out, j):
    assert decode(step, pen, n_out + 1, j) >= decode(step, pen, n_out, j)
    assert decode(step, pen, n_out, j + 1) >= decode(step, pen, n_out, j)


@given(st.floats(0, 10), st.floats(0, 2), st.integers(0, 10_000), st.integers(1, 64))
def test_seconds_scale_with_seconds(step, pen, n_out, j):
    assert decode(3 * step, pen, n_out, j) == pytest.approx(3 * decode(step, pen, n_out, j))


@pytest.mark.parametrize(
    ("load", "slots", "times"), [(0, 1, 0.0), (3, 4, 0.0), (4, 4, 0.25), (1, 1, 1.0), (9, 2, 4.0)]
)
def test_nobody_waits_while_a_slot_is_free(load, slots, times):
    assert stretch(load, slots) == times
