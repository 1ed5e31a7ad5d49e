import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.residual import Choice, Pair, regret, score, skill, wilson

SECONDS = st.floats(1e-3, 1e3)
PAIRS = st.lists(st.builds(Pair, SECONDS, SECONDS, SECONDS), min_size=1, max_size=40)


def test_figures_of_a_small_table():
    found = score([Pair(1.0, 2.0, 2.0), Pair(1.0, 1.5, 1.0), Pair(2.0, 4.0, 8.0)])
    assert found.seen == 3
    assert found.mdape == 0.5
    assert found.wape == pytest.approx(7 / 11)
    assert found.bias == pytest.approx(1.0)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.sharpness == 1.0
    assert found.pinball == pytest.approx((0.0 + 0.05 + 3.6) / 3)


def test_no_pairs_have_no_figures():
    found = score([])
    assert found.seen == 0
    assert math.isnan(found.bias)
    assert math.isnan(regret([]))


@given(PAIRS, st.floats(0.1, 10.0))
def test_scaling_every_second_changes_only_the_loss(pairs, factor):
    scaled = score([Pair(*(value * factor for value in pair)) for pair in pairs])
    plain = score(pairs)
    assert scaled.pinball == pytest.approx(plain.pinball * factor)
    assert scaled[1:4] == pytest.approx(plain[1:4])


@given(PAIRS, st.randoms())
def test_the_order_of_pairs_does_not_matter(pairs, chance):
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert score(shuffled) == pytest.approx(score(pairs))


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_the_interval_holds_the_share(count, hits):
    low, high = wilson(min(hits, count), count)
    assert 0.0 <= low <= min(hits, count) / count + 1e-12
    assert min(hits, count) / count - 1e-12 <= high <= 1.0


def test_ninety_of_a_hundred_are_between_four_fifths_and_nineteen_twentieths():
    assert wilson(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_skill_is_what_a_plain_predictor_loses_more():
    assert skill(0.5, 1.0) == 0.5
    assert skill(2.0, 1.0) == -1.0
    assert skill(1.0, 0.0) == 0.0


def test_regret_weighs_each_choice_by_how_rarely_it_is_seen():
    rows = [Choice(1.0, 1.0), Choice(3.0, 1.0, propensity=0.5)]
    assert regret(rows) == pytest.approx(4.0 / 3.0)
