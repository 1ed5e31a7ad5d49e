"""The statistics of a run, against known answers and against their own promises."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.planner import metrics
from littoral.testing.chance import SeededChance

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


def exponentials(count, seed=1):
    source = SeededChance(seed)
    return [-math.log1p(-source.random()) for _ in range(count)]


@pytest.mark.parametrize(
    ("rank", "misses", "count"),
    [
        *((0.9, 1, 64), (0.95, 1, 130), (0.99, 1, 662), (0.999, 1, 6636)),
        *((0.9, 0, 44), (0.95, 0, 90), (0.99, 0, 459), (0.999, 0, 4603)),
    ],
)
def test_a_percentile_needs_the_samples_that_the_binomial_distribution_asks_for(
    rank, misses, count
):
    assert metrics.needed(rank, misses=misses) == count


def test_the_tail_of_a_fair_coin_is_known():
    assert metrics.tail(10, 0.5, 5) == pytest.approx(638 / 1024)
    assert metrics.tail(10, 0.5, 10) == pytest.approx(1.0)
    assert metrics.tail(0, 0.3, 0) == 1.0


def test_a_quantile_is_the_nearest_rank():
    ordered = [float(value) for value in range(1, 101)]
    assert [metrics.quantile(ordered, rank) for rank in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert metrics.quantile([7.0], 0.5) == 7.0


@given(values, st.floats(0.001, 0.999))
def test_a_quantile_is_a_sample_and_enough_samples_do_not_exceed_it(samples, rank):
    ordered = sorted(samples)
    found = metrics.quantile(ordered, rank)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= rank * len(ordered) - 1e-6


def test_the_bounds_of_a_median_of_a_hundred_are_those_of_the_tables():
    assert metrics.bounds(100, 0.5) == (39, 60)


@given(st.integers(1, 3000), st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99]))
def test_bounds_enclose_the_rank_and_stay_within_the_samples(count, rank):
    low, high = metrics.bounds(count, rank)
    place = max(0, math.ceil(rank * count - 1e-9) - 1)
    assert 0 <= low <= place <= high <= count - 1


@pytest.mark.parametrize(("rank", "count"), [(0.5, 200), (0.1, 300), (0.99, 1000), (0.5, 4000)])
def test_the_interval_of_a_percentile_holds_the_truth_nineteen_times_in_twenty(rank, count):
    truth = -math.log(1 - rank)
    found = [metrics.percentile(sorted(exponentials(count, seed)), rank) for seed in range(300)]
    held = sum(each.low <= truth <= each.high for each in found)
    assert 0.92 <= held / 300 <= 1.0


def test_a_percentile_of_too_few_samples_is_withheld():
    assert metrics.percentile([1.0] * 661, 0.99) is None
    assert metrics.percentile([1.0] * 662, 0.99) == metrics.Estimate(value=1.0, low=1.0, high=1.0)
    assert metrics.percentile([1.0] * 63, 0.1) is None


def test_the_interval_of_a_mean_holds_the_truth_nineteen_times_in_twenty():
    found = [metrics.mean(exponentials(400, seed)) for seed in range(300)]
    held = sum(each.low <= 1.0 <= each.high for each in found)
    assert 0.90 <= held / 300 <= 0.99


def test_a_mean_of_few_values_has_no_interval():
    assert metrics.mean([1.0] * 39) is None
    assert metrics.mean([2.0] * 40) == metrics.Estimate(value=2.0, low=2.0, high=2.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=400))
def test_batches_lie_within_the_values_and_there_are_twenty(samples):
    parts = metrics.batches(samples)
    assert len(parts) == 20
    assert all(min(samples) - 1e-6 <= part <= max(samples) + 1e-6 for part in parts)


@given(st.integers(1, 5000), st.data())
def test_the_interval_of_a_share_holds_it_and_stays_between_nothing_and_all(count, data):
    hits = data.draw(st.integers(0, count))
    found = metrics.share(hits, count)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_the_interval_of_a_share_is_wilsons():
    found = metrics.share(8, 10)
    assert (found.low, found.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )


def test_a_growing_figure_has_a_sure_slope_and_noise_has_none():
    times = [float(place) for place in range(400)]
    noise = exponentials(400)
    rising = metrics.trend(times, [0.02 * at + each for at, each in zip(times, noise, strict=True)])
    assert rising.sure
    assert rising.slope == pytest.approx(0.02, rel=0.2)
    wrong = sum(metrics.trend(times, exponentials(400, seed)).sure for seed in range(200))
    assert wrong <= 8


def test_a_trend_needs_values_and_time():
    assert metrics.trend([1.0] * 39, [1.0] * 39) is None
    assert metrics.trend([1.0] * 40, exponentials(40)) is None


def test_the_beginning_of_a_run_is_cut_where_it_ends():
    settled = [1.0 + 0.01 * (place % 7) for place in range(300)]
    start = [5.0 - 0.05 * place for place in range(60)]
    assert 60 <= metrics.settled(start + settled) <= 70


def test_never_more_than_half_is_cut():
    growing = [float(place) for place in range(100)]
    assert metrics.settled(growing) <= 50
    assert metrics.settled([1.0, 2.0]) == 0


@given(values)
def test_the_cut_is_a_whole_number_of_fives_within_the_first_half(samples):
    cut = metrics.settled(samples)
    assert cut % 5 == 0
    assert cut <= len(samples) / 2 + 5


def test_intervals_narrow_with_more_samples():
    widths = []
    for count in (200, 2000, 20000):
        low, high = metrics.bounds(count, 0.5)
        widths.append((high - low) / count)
    assert all(wide > narrow for wide, narrow in pairwise(widths))
