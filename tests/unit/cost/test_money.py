import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.money import (
    MONTH_S,
    api,
    busy,
    node_full,
    node_marginal,
    node_month,
    pool_month,
    replica_full,
    replica_marginal,
)
from littoral.domain.platform import Calibration, NodePrice, ReplicaPrice, Task, TokenPrice

BOX = NodePrice(idle_w=6.0, active_w=35.0, kwh=0.6, capex=4000.0, life_s=1e8, month=20.0)
RENTED = ReplicaPrice(hour=14.0, egress=1e-9)
USE = st.floats(0.05, 1.0)
SECONDS = st.floats(0.0, 1e4)


def test_two_seconds_on_a_small_box_cost_a_hundred_thousandth():
    assert node_marginal(2.0, BOX) == pytest.approx(9.67e-6, rel=1e-3)


def test_shares_of_a_step_add_up_to_the_step():
    calibration = Calibration(prefill_s=0.003, step_s=0.01, pen=0.6, slots=4)
    task = Task(tokens_in=1, out_p50=101)
    together = 4 * (busy(task, 4, calibration) - 0.003)
    assert together == pytest.approx(100 * 0.01 * (1 + 0.6 * 3))


@given(SECONDS, USE)
def test_marginal_is_never_above_full(taken, use):
    assert 0.0 <= node_marginal(taken, BOX) <= node_full(taken, BOX, use=use)
    grows = ReplicaPrice(hour=14.0, autoscales=True, use_target=0.99)
    assert replica_marginal(taken, 0.0, grows) <= replica_full(taken, 0.0, grows, use=min(use, 0.9))


@given(USE)
def test_full_costs_of_a_month_add_up_to_the_month(use):
    month = node_full(use * MONTH_S, BOX, use=use)
    assert month == pytest.approx(node_month(BOX, use=use), rel=1e-9)


def test_few_tasks_do_not_carry_the_whole_machine():
    assert node_full(1.0, BOX, use=1e-9) == node_full(1.0, BOX, use=0.05)


def test_a_pool_that_does_not_grow_costs_nothing_more_for_one_task():
    assert replica_marginal(10.0, 0.0, RENTED) == 0.0
    assert replica_marginal(10.0, 1000.0, RENTED) == pytest.approx(1e-6)
    grows = ReplicaPrice(hour=3600.0, autoscales=True, use_target=0.5)
    assert replica_marginal(1.0, 0.0, grows) == pytest.approx(2.0)


def test_an_api_is_paid_by_what_is_read_and_written():
    task = Task(tokens_in=1000, tokens_cached=400, bytes_up=10.0, bytes_down=20.0)
    price = TokenPrice(token_in=2.0, token_out=8.0, cached=0.5, written=0.25, request=7.0, byte=0.1)
    assert api(task, 100, price) == pytest.approx(600 * 2.25 + 400 * 0.5 + 800 + 7 + 3)


@given(st.floats(0.1, 100.0))
def test_money_scales_with_its_prices(factor):
    dearer = NodePrice(
        idle_w=BOX.idle_w,
        active_w=BOX.active_w,
        kwh=BOX.kwh * factor,
        capex=BOX.capex * factor,
        life_s=BOX.life_s,
        month=BOX.month * factor,
    )
    assert node_full(3.0, dearer, use=0.3) == pytest.approx(node_full(3.0, BOX, use=0.3) * factor)
    assert node_month(dearer, use=0.3) == pytest.approx(node_month(BOX, use=0.3) * factor)


def test_a_month_has_seven_hundred_and_thirty_hours():
    assert pool_month(2, RENTED, sent=1000.0, month=5.0) == pytest.approx(
        2 * 730 * 14.0 + 1000 * 2_628_000 * 1e-9 + 5
    )
