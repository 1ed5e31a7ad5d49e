"""The guard in the long run: audited loss stays within the budget, whatever breaks."""

from dataclasses import replace

import pytest

from littoral.placement.loop import heard
from sim.quality import BUDGET, play

SEEDS = range(20)


@pytest.mark.parametrize("broken", [0.0, 1 / 3, 1.0])
def test_the_loss_stays_within_the_budget_in_nineteen_of_twenty_seeds(broken):
    runs = [play(seed, broken=broken) for seed in SEEDS]
    assert sum(run.loss <= BUDGET for run in runs) >= 19
    assert all(run.late_loss <= 1.5 * BUDGET for run in runs)


def test_without_anything_broken_the_cheap_place_serves_its_share():
    shares = [play(seed).cheap for seed in range(5)]
    assert min(shares) > 0.03
    assert sum(shares) / len(shares) > 0.08


def test_without_the_guard_a_broken_model_overruns_the_budget():
    runs = [play(seed, broken=1.0, watch=unmoved) for seed in range(5)]
    assert sum(run.late_loss for run in runs) > 5 * 1.5 * BUDGET


def unmoved(loop, finding):
    """The loop as it is, but that its guard never moves."""
    return replace(found := heard(loop, finding), guard=replace(found.guard, slack=1.0))
