"""What each traffic policy does under load, in virtual time: with it, and without."""

import pytest

from sim.conversations import conversations
from sim.dimming import dimming
from sim.failures import FROM_S, SPAN_S, TO_S, failures
from sim.fairness import flood, priorities, shares
from sim.overload import overload
from sim.repetition import repetition
from sim.slowness import slowness

WEIGHTS = {"a": 1.0, "b": 1.0, "c": 2.0}


def test_the_same_seed_gives_the_same_run():
    assert overload(2.0, sheds=True) == overload(2.0, sheds=True)


def test_a_flood_from_one_project_does_not_make_another_wait():
    without, fair = flood(5.0, is_fair=False), flood(5.0, is_fair=True)
    assert without.p95 > 100.0
    assert fair.p95 < 1.0
    assert fair.share == pytest.approx(flood(0.5, is_fair=True).share, rel=0.1)


@pytest.mark.parametrize("lie", [1.0, 0.1])
def test_shares_follow_the_weights_whatever_requests_look_like(lie):
    got = shares(WEIGHTS, lie=lie)
    for name, weight in WEIGHTS.items():
        assert got[name] == pytest.approx(weight / 4, rel=0.05)


def test_higher_priorities_hardly_wait_and_the_lowest_is_not_starved():
    waits = priorities(5.0)
    assert waits[0][0] < 1.0
    assert waits[1][0] < 2.0
    assert waits[2][1] > 0.3
    assert priorities(1.6)[2][1] > 0.05


@pytest.mark.parametrize("level", [0, 1])
def test_ten_times_overload_keeps_nine_tenths_of_the_best_goodput(level):
    loads = {load: overload(load, sheds=True, level=level) for load in (0.9, 1.0, 1.5, 10.0)}
    best = max(outcome.goodput for outcome in loads.values())
    assert loads[10.0].goodput >= 0.9 * best
    assert loads[10.0].p99_s < 10.0
    assert overload(10.0, sheds=False).goodput < 0.1


def test_a_second_try_cuts_the_tail_within_its_budget():
    without, hedged = slowness(0.4, hedges=False), slowness(0.4, hedges=True)
    assert hedged.p99 < without.p99 / 2
    assert 0.0 < hedged.extra <= 0.05


def test_near_saturation_second_tries_do_no_harm():
    without, hedged = slowness(0.9, hedges=False), slowness(0.9, hedges=True)
    assert hedged.p99 <= without.p99 * 1.02
    assert hedged.extra <= 0.05


def test_a_breaker_keeps_requests_off_a_failing_endpoint_and_finds_it_again():
    begin, end = int(FROM_S / SPAN_S), int(TO_S / SPAN_S)
    without, broken = failures(breaks=False), failures(breaks=True)
    assert sum(without.first[begin:end]) / (end - begin) > 0.25
    assert sum(broken.first[begin:end]) / (end - begin) < 0.01
    assert sum(broken.final) == 0.0
    assert 0.0 <= broken.healed_s <= 60.0


def test_when_most_endpoints_fail_half_of_them_stay_in_service():
    broken = failures(breaks=True, broken=3)
    during = broken.first[int(FROM_S / SPAN_S) + 1 : int(TO_S / SPAN_S)]
    assert max(during) < 0.6
    assert min(during) > 0.4


def test_a_fleet_that_is_gone_is_sent_a_tenth_more_than_it_was_asked_and_no_more():
    gone = failures(breaks=False, broken=4)
    assert 0.03 < gone.extra < 0.1 * (TO_S - FROM_S) / 300.0 * 1.05


def test_a_cache_answers_what_is_asked_often_and_more_so_with_more_room():
    small = repetition(most_bytes=1 << 20, ttl_s=600.0)
    large = repetition(most_bytes=64 << 20, ttl_s=600.0)
    assert 0.3 < small.hits < large.hits
    assert large.engine_s == pytest.approx(1.0 - large.hits)


def test_affinity_finds_computed_beginnings_without_piling_up():
    without, kept = conversations(1.5, keeps=False), conversations(1.5, keeps=True)
    assert kept.warm > without.warm + 0.2
    assert kept.first_p50 < without.first_p50
    assert kept.first_p95 < without.first_p95
    assert kept.skew < without.skew * 1.25


def test_a_brown_out_answers_everyone_where_half_would_be_refused_and_ends_with_the_load():
    plain, dimmed = dimming(dims=False), dimming(dims=True)
    during = slice(10, 28)
    assert max(plain.full[during]) < 0.7
    both = [full + dim for full, dim in zip(dimmed.full, dimmed.dimmed, strict=True)]
    assert min(both[during]) > 0.9
    assert dimmed.rung[-5:] == [0] * 5
