import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.length import Length, kind_of, leaned, seen
from littoral.testing.chance import SeededChance


def test_requests_with_a_tag_have_it_in_common_others_their_key_and_both_their_model():
    both = {kind_of(tag="batch", key=key, model="m") for key in "ab"}
    assert len(both) == 1
    assert len({kind_of(tag="", key=key, model="m") for key in "ab"} | both) == 3
    assert len({kind_of(tag="batch", key="a", model=model) for model in "mn"}) == 2
    assert kind_of(tag="a", key="b", model="m") != kind_of(tag="", key="a", model="m")


def draw(chance):
    radius = math.sqrt(-2 * math.log(1 - chance.random()))
    return max(1, round(40 * math.exp(0.55 * radius * math.cos(2 * math.pi * chance.random()))))


def learned(cap_of, *, count=6000):
    """A true median of 40 and a true p90 of 81."""
    chance, length = SeededChance(3), Length()
    for _ in range(count):
        wanted, cap = draw(chance), cap_of(chance)
        length = seen(length, min(wanted, cap or wanted), cap=cap)
    return length


@pytest.mark.parametrize(
    "cap_of", [lambda _: None, lambda _: 4096, lambda c: 200 if c.random() < 0.5 else 60]
)
def test_quantiles_are_found_whatever_the_caps(cap_of):
    length = learned(cap_of)
    assert length.median == pytest.approx(40, rel=0.15)
    assert math.exp(length.p90) == pytest.approx(81, rel=0.15)
    assert length.width == pytest.approx(math.log(2), abs=0.25)


def test_beyond_every_cap_little_is_learned():
    assert math.exp(learned(lambda _: 64).p90) < 128
    start = Length()
    assert seen(start, 10, cap=10) == Length(count=1)


def test_a_cancelled_answer_counts_only_as_longer():
    start = Length(p50=math.log(10), p90=math.log(20), count=100)
    assert seen(start, 5, cancelled=True) == Length(p50=start.p50, p90=start.p90, count=101)
    assert seen(start, 15, cancelled=True).p50 > start.p50
    assert seen(start, 15, cancelled=True).p90 == start.p90


@given(st.lists(st.tuples(st.integers(0, 10_000), st.one_of(st.none(), st.integers(1, 10_000)))))
def test_the_high_quantile_is_never_below_the_median(answers):
    length = Length()
    for tokens, cap in answers:
        before = length
        length = seen(length, tokens if cap is None else min(tokens, cap), cap=cap)
        assert 0.0 <= length.p50 <= length.p90
        if cap is not None and tokens >= cap:
            assert length.p50 >= before.p50
            assert length.p90 >= before.p90


def test_what_takes_longer_than_promised_is_expected_to_be_longer_and_the_quantiles_stay():
    length = leaned(Length(count=100), late=True)
    assert length.expected > length.median == Length().median
    assert leaned(length, late=False).expected == pytest.approx(length.median)
    assert seen(length, 40).lean == length.lean


@pytest.mark.parametrize("late", [True, False])
def test_promises_lean_by_a_bounded_factor(late):
    length = Length()
    for _ in range(1000):
        length = leaned(length, late=late)
    assert abs(math.log(length.expected / length.median)) == pytest.approx(0.5)


def test_a_promise_that_the_cap_bounded_teaches_nothing():
    assert leaned(Length(), late=True, cap=64) == Length()
    assert leaned(Length(), late=True, cap=4096) != Length()
