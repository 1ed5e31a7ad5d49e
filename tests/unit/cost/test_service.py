import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.service import from_steps, predict_cloud, predict_edge
from littoral.domain.platform import (
    Calibration,
    Link,
    Load,
    NodePrice,
    ReplicaPrice,
    Steps,
    Task,
    TokenPrice,
)

BOX = NodePrice(idle_w=6.0, active_w=35.0, kwh=0.6, capex=4000.0)
ENGINE = Calibration(
    fixed_s=0.02, prefill_s=0.003, ahead_s=0.003, step_s=0.01, pen=0.5, slots=4, width=0.3
)
TASK = Task(tokens_in=100, out_p50=51, out_p90=102, bytes_up=400.0, bytes_token=250.0)
NEAR = Link(rtt_s=0.05)
TOKENS = st.integers(0, 100_000)


def edge(task=TASK, load=Load(), link=NEAR, calibration=ENGINE):  # noqa: B008  a frozen record
    return predict_edge(task, load, link, calibration=calibration, price=BOX, use=0.3)


def test_the_median_is_the_sum_of_its_terms():
    found = edge()
    assert found.first_p50_s == pytest.approx(0.02 + 0.05 + 0.3)
    assert found.total_p50_s == pytest.approx(0.37 + 50 * 0.01)
    assert sum(found.terms.values()) == pytest.approx(found.total_p50_s)
    assert found.busy_s == pytest.approx(0.8)
    assert found.watt_hours == pytest.approx(29 * 0.8 / 3600)
    assert 0 < found.marginal < found.full


def test_the_bound_joins_speed_and_length():
    found = edge()
    share = 0.5 / found.total_p50_s
    width = math.hypot(0.3, share * math.log(2))
    assert found.total_p90_s == pytest.approx(found.total_p50_s * math.exp(width))
    assert found.first_p90_s == pytest.approx(found.first_p50_s * math.exp(0.3))


def test_a_full_node_makes_a_task_wait_and_then_reads_nothing_ahead():
    load = Load(active=4, unread=1000, remaining=(1.0, 2.0, 3.0, 4.0), queued=(0.5,))
    found = edge(load=load)
    assert found.terms["waiting"] == pytest.approx(1.5 * 2.5)
    assert found.terms["ahead"] == 0.0
    assert edge(load=Load(active=1, unread=1000)).terms["ahead"] == pytest.approx(3.0)


def test_a_slow_link_sets_the_pace_of_the_tokens():
    found = edge(link=Link(rtt_s=0.05, down_bps=1000.0))
    assert found.terms["sending"] == pytest.approx(50 * (0.25 - 0.01))


def test_a_link_that_carries_nothing_takes_for_ever_and_costs_what_it_costs():
    found = edge(link=Link(up_bps=0.0))
    assert found.total_p90_s == math.inf
    assert math.isfinite(found.marginal)
    alone = edge(task=replace(TASK, out_p50=1, out_p90=1, bytes_up=0.0), link=Link(down_bps=0.0))
    assert math.isfinite(alone.total_p90_s)


def test_more_cached_than_there_is_still_reads_one_token():
    found = edge(task=replace(TASK, tokens_cached=500))
    assert found.terms["reading"] == 0.003


def test_nothing_is_predicted_below_the_floor():
    instant = Calibration(prefill_s=0.0, step_s=0.0)
    found = edge(task=replace(TASK, bytes_up=0.0), link=Link(), calibration=instant)
    assert found.first_p50_s == 0.005
    assert found.total_p90_s > found.total_p50_s


@given(TOKENS, TOKENS, st.integers(1, 2000), st.integers(0, 8), st.floats(0.0, 1e6))
def test_seconds_rise_with_tokens_company_and_bytes(tokens_in, more, n_out, active, size):
    load = Load(active=active, remaining=(1.0,) * active)
    task = replace(TASK, tokens_in=tokens_in, out_p50=n_out, out_p90=n_out + 5, bytes_up=size)
    link = Link(rtt_s=0.01, up_bps=1e4, down_bps=1e4)

    def total(task, load=load):
        return edge(task=task, load=load, link=link).total_p50_s

    base = total(task) * (1 - 1e-12)
    assert total(replace(task, tokens_in=tokens_in + more)) >= base
    assert total(replace(task, bytes_up=size * 2)) >= base
    assert total(replace(task, out_p50=n_out + 1)) >= base
    crowded = replace(load, active=active + 1, remaining=(1.0,) * (active + 1))
    assert total(task, crowded) >= base


def test_a_rented_replica_is_predicted_alike_and_paid_by_the_hour():
    price = ReplicaPrice(hour=3600.0, autoscales=True, use_target=0.5)
    found = predict_cloud(TASK, Load(), NEAR, calibration=ENGINE, price=price, use=0.25)
    assert found.total_p50_s == edge().total_p50_s
    assert found.marginal == pytest.approx(found.busy_s / 0.5)
    assert found.full == pytest.approx(found.busy_s / 0.25)


def test_an_api_has_no_queue_of_ours_and_is_paid_by_the_token():
    service = replace(ENGINE, slots=0)
    price = TokenPrice(token_in=1.0, token_out=2.0)
    busy = Load(active=50, remaining=(9.0,))
    found = predict_cloud(TASK, busy, NEAR, calibration=service, price=price)
    assert found.terms["waiting"] == 0.0
    assert found.marginal == found.full == 100 + 51 * 2
    assert found.busy_s == 0.0


def test_step_coefficients_reduce_to_those_of_a_request():
    steps = Steps(b0=0.0042, b1=0.0028, b2=0.0063, chunk=512)
    found = from_steps(steps, tokens_in=100, tokens_out=50, slots=4)
    assert found.step_s == pytest.approx(0.0105)
    assert found.pen == pytest.approx(0.6)
    assert found.prefill_s == pytest.approx(0.0028 + 0.0042 / 512)
    assert from_steps(Steps(b0=0.0, b1=0.0), tokens_in=1, tokens_out=1, slots=1).pen == 0.0
