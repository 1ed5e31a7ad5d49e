"""Lengths in tokens, as people write them."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.bench.lengths import MOST, draw, parse
from littoral.domain.errors import InvalidInput
from littoral.testing.chance import SeededChance


def many(text, count=5000):
    lengths, chance = parse(text, what="--tokens-in"), SeededChance(3)
    return [draw(lengths, chance) for _ in range(count)]


def test_a_number_is_always_the_same():
    assert set(many("256")) == {256}


def test_a_range_covers_its_ends_and_nothing_else():
    found = many("10-14")
    assert set(found) == {10, 11, 12, 13, 14}


@pytest.mark.parametrize(
    ("text", "middle"),
    [("normal:500,50", 500), ("lognormal:512,0.8", 512), ("exponential:300", 300 * 0.6931)],
)
def test_a_family_has_the_median_that_was_asked_for(text, middle):
    assert statistics.median(many(text)) == pytest.approx(middle, rel=0.06)


def test_the_spread_of_a_normal_length_is_the_one_asked_for():
    assert statistics.pstdev(many("normal:500,50")) == pytest.approx(50, rel=0.1)


@given(
    st.sampled_from(["1", "1-9", "normal:2,900000", "lognormal:1000000,5", "exponential:1000000"]),
    st.integers(0, 10_000),
)
def test_no_length_leaves_one_to_a_million(text, seed):
    assert 1 <= draw(parse(text, what="x"), SeededChance(seed)) <= MOST


@pytest.mark.parametrize(
    "text", ["", "abc", "-5", "5-", "normal:5", "lognormal:5,1,2", "1e9", "٣", "nan", "inf", "5 6"]
)
def test_what_is_no_length_is_refused_with_all_forms(text):
    with pytest.raises(InvalidInput, match=r"--tokens-in.*lognormal:MEDIAN,SIGMA"):
        parse(text, what="--tokens-in")


@pytest.mark.parametrize(
    ("text", "why"),
    [("0", "between 1"), ("2000000", "between 1"), ("9-3", "empty"), ("lognormal:5,9", "sigma")],
)
def test_a_length_out_of_range_is_refused(text, why):
    with pytest.raises(InvalidInput, match=why):
        parse(text, what="--tokens-out")
