"""Schedules: their rate, their burstiness, and that one seed gives one of them."""

import math
import statistics
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.app.bench.arrival import gaps, times
from littoral.testing.chance import SeededChance

processes = st.sampled_from(["poisson", "gamma", "constant"])


def some(process, *, seed=0, cv=1.0, count=20_000):
    return list(islice(gaps(process, SeededChance(seed), cv=cv), count))


@pytest.mark.parametrize(
    ("process", "cv"),
    [("poisson", 1.0), ("gamma", 0.5), ("gamma", 1.0), ("gamma", 2.0), ("gamma", 4.0)],
)
def test_gaps_have_mean_one_and_the_variation_that_was_asked_for(process, cv):
    found = some(process, cv=cv)
    mean = statistics.fmean(found)
    assert mean == pytest.approx(1.0, abs=5 * cv / math.sqrt(len(found)))
    assert statistics.pstdev(found) / mean == pytest.approx(cv, rel=0.1)


def test_a_constant_rate_is_a_metronome():
    found = times(gaps("constant", SeededChance()), rate=4.0, duration=2.0)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75])


def test_bursts_come_together_and_regular_calls_do_not():
    bursty = sum(gap < 0.1 for gap in some("gamma", cv=4.0))
    even = sum(gap < 0.1 for gap in some("gamma", cv=0.3))
    assert bursty > 10 * even


@settings(max_examples=40)
@given(processes, st.integers(0, 2**32), st.floats(1, 200), st.floats(1, 20))
def test_a_schedule_ascends_within_its_duration_and_repeats_by_its_seed(
    process, seed, rate, duration
):
    made = [
        times(gaps(process, SeededChance(seed), cv=2.0), rate=rate, duration=duration)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert all(0 <= at < duration for at in made[0])
    assert all(a <= b for a, b in pairwise(made[0]))


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(20, 500))
def test_a_schedule_has_as_many_arrivals_as_its_rate_says(seed, rate):
    duration = 2000 / rate
    found = times(gaps("poisson", SeededChance(seed)), rate=rate, duration=duration)
    assert abs(len(found) - 2000) < 6 * math.sqrt(2000)


def test_a_schedule_ends_at_its_count():
    assert len(times(gaps("poisson", SeededChance()), rate=5, duration=1e9, count=17)) == 17


def test_other_seeds_give_other_schedules():
    assert some("poisson", seed=1, count=5) != some("poisson", seed=2, count=5)
