import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.chain import best_slots, capacity, chain, pooled, rates, tail

SECONDS = st.floats(1e-3, 10.0)
SLOTS = st.integers(1, 12)
PEN = st.floats(0.0, 2.0)
USE = st.floats(0.01, 0.96)


def erlang_c(servers, load):
    below = sum(load**j / math.factorial(j) for j in range(servers))
    full = load**servers / math.factorial(servers) / (1.0 - load / servers)
    return full / (below + full)


@given(st.integers(1, 16), st.floats(0.05, 0.95), SECONDS)
def test_without_company_to_pay_for_the_chain_is_erlang_c(servers, use, service):
    lam = use * servers / service
    found = chain(lam, rates(0.0, service, pen=0.0, slots=servers))
    assert found.wait == pytest.approx(erlang_c(servers, lam * service), rel=1e-9)


def test_four_servers_at_four_fifths_wait_as_the_tables_say():
    assert chain(3.2, rates(0.0, 1.0, pen=0.0, slots=4)).wait == pytest.approx(0.5964, abs=1e-4)


@given(USE, SECONDS, st.floats(0.0, 4.0))
def test_one_slot_is_pollaczek_and_khinchine(use, service, cs2):
    found = chain(use / service, rates(service, 0.0, pen=0.0, slots=1), cs2=cs2)
    assert found.queue_s == pytest.approx(use * service * (1.0 + cs2) / 2.0 / (1.0 - use), rel=1e-9)


@given(SECONDS, SECONDS, PEN, SLOTS, USE)
def test_time_rises_with_load_and_never_turns_negative(prefill, decode, pen, slots, use):
    each = rates(prefill, decode, pen=pen, slots=slots)
    small, large = chain(use * 0.9 * each[-1], each), chain(use * each[-1], each)
    assert 0.0 <= small.wait <= large.wait <= 1.0
    assert small.sojourn_s > 0.0
    assert small.queue_s <= large.queue_s * (1 + 1e-9)


@given(SECONDS, SECONDS, PEN, SLOTS, USE, st.floats(0.01, 100.0))
def test_scaling_every_second_scales_the_sojourn(prefill, decode, pen, slots, use, factor):
    each = rates(prefill, decode, pen=pen, slots=slots)
    scaled = rates(prefill * factor, decode * factor, pen=pen, slots=slots)
    plain, other = chain(use * each[-1], each), chain(use * scaled[-1], scaled)
    assert other.sojourn_s == pytest.approx(plain.sojourn_s * factor, rel=1e-6)


def test_no_arrivals_mean_no_wait_and_too_many_no_end():
    each = rates(0.1, 0.9, pen=0.25, slots=4)
    idle = chain(0.0, each)
    assert (idle.wait, idle.queue_s, idle.busy) == (0.0, 0.0, 0.0)
    assert idle.service_s == pytest.approx(1.0)
    full = chain(each[-1], each)
    assert not full.stable
    assert full.sojourn_s == math.inf
    assert tail(full, 1e9) == 1.0


def test_a_thousand_slots_and_huge_rates_stay_finite():
    each = rates(1e-9, 1e-6, pen=0.01, slots=1000)
    found = chain(0.9 * each[-1], each)
    assert math.isfinite(found.sojourn_s)
    assert chain(1.0, rates(0.0, 0.0, pen=0.0, slots=2)).sojourn_s < 1e-9


def test_arrivals_that_are_even_do_not_wait_where_service_is_even_too():
    found = chain(0.5, (1.0,), ca2=0.0, cs2=0.0)
    assert found.queue_s == 0.0
    assert tail(found, 2.0, cs2=0.0) == 0.0


@given(SECONDS, SECONDS, PEN, SLOTS, st.integers(1, 6))
def test_a_pool_of_alike_is_as_fast_as_its_members(prefill, decode, pen, slots, replicas):
    each = rates(prefill, decode, pen=pen, slots=slots)
    joined = pooled(each, replicas)
    assert len(joined) == slots * replicas
    assert pooled(each, 1) == each
    assert joined[-1] == pytest.approx(replicas * each[-1])
    assert joined[0] == each[0]


def test_a_penalty_above_one_makes_more_slots_slower():
    assert best_slots(rates(0.0, 1.0, pen=1.5, slots=4)) == 1
    assert best_slots(rates(0.0, 1.0, pen=0.25, slots=4)) == 4
    assert best_slots((2.0, 2.0)) == 1


@given(SECONDS, SECONDS, PEN, SLOTS, USE, st.floats(0.0, 3.0))
def test_the_tail_falls_with_the_limit(prefill, decode, pen, slots, use, cs2):
    each = rates(prefill, decode, pen=pen, slots=slots)
    found = chain(use * each[-1], each, cs2=cs2)
    limits = [0.0, *(found.sojourn_s * factor for factor in (0.1, 0.5, 1, 2, 5, 20))]
    over = [tail(found, limit, cs2=cs2) for limit in limits]
    assert over[0] == 1.0
    assert all(low >= high - 1e-12 for low, high in itertools.pairwise(over))
    assert over[-1] < 0.1 or found.use > 0.9 or cs2 > 1


def test_what_runs_beside_the_engine_counts_toward_the_limit():
    found = chain(0.1, (1.0,))
    assert tail(found, 3.0, fixed_s=1.0) == tail(found, 2.0)


@given(SECONDS, SECONDS, PEN, SLOTS, st.floats(0.5, 0.99))
def test_capacity_is_the_last_rate_that_meets_the_objective(prefill, decode, pen, slots, target):
    each = rates(prefill, decode, pen=pen, slots=slots)
    limit = 3.0 / each[0]
    most = capacity(each, limit, target, ca2=1.0, cs2=1.0, fixed_s=0.0)
    assert 0.0 <= most <= 0.97 * each[-1]
    if 0.0 < most < 0.96 * each[-1]:
        assert tail(chain(most, each), limit) <= 1.0 - target + 1e-9
        assert tail(chain(most * 1.01, each), limit) > 1.0 - target


def test_an_objective_that_nobody_can_meet_leaves_no_capacity():
    assert capacity((1.0,), 0.01, 0.99, ca2=1.0, cs2=0.1, fixed_s=0.0) == 0.0


def test_an_objective_that_everybody_meets_is_bounded_by_the_largest_rate():
    assert capacity((1.0,), 1e6, 0.5, ca2=1.0, cs2=1.0, fixed_s=0.0) == 0.97
