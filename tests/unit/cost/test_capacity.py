import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.capacity import guaranteed, size_cloud, size_edge, speeds
from littoral.domain.platform import (
    Calibration,
    EdgeNode,
    Mix,
    NodePrice,
    Objective,
    Pool,
    ReplicaPrice,
)

ENGINE = Calibration(fixed_s=0.02, prefill_s=0.003, step_s=0.01, pen=0.5, slots=4)
MIX = Mix(rate=1.0, tokens_in=100, tokens_out=51)
SOON = Objective(total_s=3.0, target=0.95)
BOX = EdgeNode(calibration=ENGINE, price=NodePrice(idle_w=6, active_w=35, kwh=0.6), usable=0.995)


def pool(most=100):
    return Pool(calibration=ENGINE, price=ReplicaPrice(hour=2.0), most=most, month=3.0)


def test_no_machines_carry_nothing_and_cost_nothing():
    found = size_edge(MIX, (), SOON)
    assert (found.rate, found.guaranteed, found.month, found.size) == (0.0, 0.0, 0.0, 0)
    assert not found.feasible
    assert found.factor == math.inf
    assert size_edge(replace(MIX, rate=0.0), (), SOON).feasible


def test_five_machines_that_may_fail_guarantee_four():
    found = size_edge(MIX, (BOX,) * 5, SOON, assurance=0.999)
    one = size_edge(MIX, (replace(BOX, usable=1.0),), SOON).rate
    assert found.rate == pytest.approx(5 * 0.995 * one)
    assert found.guaranteed == pytest.approx(4 * one)
    assert found.feasible
    assert found.month > 5 * 6 * 0.73 * 0.6


@pytest.mark.parametrize(("count", "sure"), [(5, 4), (20, 18), (200, 195)])
def test_the_guaranteed_share_grows_with_the_fleet(count, sure):
    assert guaranteed([(1.0, 0.995)] * count, 0.999) == sure


def test_many_unlike_machines_are_counted_in_bounded_steps():
    fleet = [(1.0 + at / 997.0, 0.9) for at in range(200)]
    found = guaranteed(fleet, 0.5)
    assert found == pytest.approx(sum(rate * usable for rate, usable in fleet), rel=0.02)


def test_nothing_is_guaranteed_beyond_what_can_be_sure():
    assert guaranteed([(1.0, 0.5)], 0.9) == 0.0
    assert guaranteed([(1.0, 1.0)], 1.0) == 1.0
    assert guaranteed([(1.0, 0.0)], 2.0) == 0.0


@given(st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.0, 1.0)), max_size=6))
def test_more_assurance_never_guarantees_more(fleet):
    low, high = guaranteed(fleet, 0.9), guaranteed(fleet, 0.99)
    assert high <= low <= sum(rate for rate, _ in fleet) + 1e-6


def test_the_fewest_replicas_that_meet_the_objective_are_taken():
    wanted = replace(MIX, rate=10.0, bytes_down=1000.0)
    found = size_cloud(wanted, pool(), SOON)
    assert found.feasible
    assert found.rate >= 10.0
    assert found.month == pytest.approx(found.size * 730 * 2.0 + 3.0)
    fewer = size_cloud(wanted, pool(found.size - 1), SOON)
    assert not fewer.feasible
    assert fewer.size == found.size - 1
    assert fewer.factor == pytest.approx(10.0 / fewer.rate)


def test_no_replicas_carry_nothing():
    found = size_cloud(MIX, pool(0), SOON)
    assert (found.rate, found.size, found.feasible, found.factor) == (0.0, 0, False, math.inf)
    assert size_cloud(replace(MIX, rate=0.0), pool(0), SOON).feasible


def test_a_mix_is_as_fast_as_its_mean_task():
    each = speeds(MIX, ENGINE)
    assert each[0] == pytest.approx(1 / 0.8)
    assert len(each) == 4
    assert len(speeds(MIX, replace(ENGINE, slots=0))) == 1
