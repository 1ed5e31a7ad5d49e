"""Shedding, retry budget, hedging, affinity, brown-out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.affinity import LEAST, Affinity, prefix_of
from littoral.gateway.brownout import DOWN_S, NOTHING, RUNGS, UP_S, Ladder, Steps, measures, named
from littoral.gateway.hedge import Hedge
from littoral.gateway.retry import Budget
from littoral.gateway.shed import Sojourn, Strain, is_hopeless

# shedding


def test_a_burst_is_not_overload_a_standing_queue_is():
    sojourn = Sojourn(1.0)
    for now, wait_s in ((0.0, 3.0), (0.05, 2.0), (0.09, 0.5), (0.2, 3.0), (0.25, 3.0)):
        sojourn.saw(wait_s, now)
        assert not sojourn.overloaded
    sojourn.saw(1.1, 0.31)
    assert sojourn.overloaded
    sojourn.saw(0.9, 0.4)
    assert not sojourn.overloaded


def test_who_cannot_be_in_time_or_waits_far_too_long_is_hopeless():
    fine = {"waited_s": 1.0, "target_s": 1.0, "left_s": 5.0, "busy_s": 1.0}
    assert not is_hopeless(**fine)
    assert is_hopeless(**{**fine, "left_s": 0.9})
    assert is_hopeless(**{**fine, "waited_s": 2.1})


@pytest.mark.parametrize(
    ("lag_s", "refused"), [(0.01, []), (0.03, [2, 3]), (0.15, [1, 2, 3]), (0.3, [0, 1, 2, 3])]
)
def test_a_loop_that_stays_behind_refuses_the_lower_priorities(lag_s, refused):
    strain = Strain()
    for tick in range(15):
        strain.saw(lag_s, tick / 10)
    assert [level for level in range(4) if strain.refuses(level)] == refused


def test_a_loop_that_stumbles_for_less_than_a_second_refuses_nobody():
    strain = Strain()
    for tick in range(9):
        strain.saw(0.3, tick / 10)
    strain.saw(0.0, 0.9)
    strain.saw(0.3, 1.2)
    assert strain.level == 0


def test_strain_ends_when_the_loop_has_kept_up_for_a_second():
    strain = Strain()
    for tick in range(50):
        strain.saw(0.3 if tick < 15 else 0.0, tick / 10)
        if tick == 14:
            assert strain.level == 3
        if tick == 20:
            assert strain.level == 3
    assert strain.level == 0


def test_strain_rises_only_as_far_as_the_lag_stayed_above():
    strain = Strain()
    for tick in range(15):
        strain.saw(0.3 if tick % 2 else 0.03, tick / 10)
    assert strain.level == 1


# retries and hedges


@given(st.lists(st.booleans(), max_size=400))
def test_retries_never_exceed_a_tenth_of_requests_beyond_the_first(failures):
    budget, retries = Budget(), 0
    for number, fails in enumerate(failures, 1):
        budget.earn()
        if fails and budget.spend():
            retries += 1
        assert retries <= 1 + number / 10 + 1e-6


@given(st.lists(st.floats(0.001, 100.0), max_size=300))
def test_hedges_never_exceed_a_twentieth_of_requests(times):
    hedge, hedges = Hedge(), 0
    for number, first_s in enumerate(times, 1):
        delay_s = hedge.plan()
        if delay_s and first_s > delay_s and hedge.budget.spend():
            hedges += 1
        hedge.saw(first_s)
        assert hedges <= number / 20 + 1e-6


def test_a_hedge_is_due_at_the_95th_percentile_of_late_answers():
    hedge = Hedge()
    for number in range(31):
        hedge.saw(float(number))
    assert hedge.plan() == 0.0
    for number in range(2000):
        hedge.saw(number % 100 / 100)
    assert hedge.plan() == pytest.approx(0.95, abs=0.03)


# affinity


def test_short_bodies_have_no_prefix_and_long_ones_that_begin_alike_share_it():
    system = "s" * LEAST
    bodies = [
        b'{"model":"m","messages":[{"content":"%b"},{"content":"%d"}]}' % (system.encode(), number)
        for number in range(2)
    ]
    assert prefix_of(bodies[0]) == prefix_of(bodies[1])
    assert len(prefix_of(bodies[0])) == 512
    assert prefix_of(b"x" * LEAST) == b"x" * 512


def test_projects_and_models_do_not_share_a_beginning():
    keys = {Affinity.key(p, m, b"x" * 512) for p in "ab" for m in "cd"}
    assert len(keys) == 4


def test_the_beginnings_used_last_are_kept():
    affinity = Affinity(most=2)
    affinity.served(1, "e1")
    affinity.served(2, "e2")
    affinity.served(1, "e3")
    affinity.served(3, "e1")
    assert [affinity.where(key) for key in (1, 2, 3)] == ["e3", None, "e1"]
    assert len(affinity) == 2


# brown-out


def climb(ladder, pressure, seconds, *, start=0.0):
    for tick in range(int(seconds * 10) + 1):
        ladder.saw(pressure, start + tick / 10)
    return start + seconds


def test_the_ladder_is_climbed_a_rung_a_second_and_left_slowly():
    ladder = Ladder()
    now = climb(ladder, 2.0, 2.5 * UP_S)
    assert ladder.rung == 2
    now = climb(ladder, 0.8, 60.0, start=now)
    assert ladder.rung == 2
    climb(ladder, 0.1, 1.5 * DOWN_S, start=now)
    assert ladder.rung == 1


@given(st.lists(st.floats(0.0, 10.0), max_size=300))
def test_the_ladder_stays_within_its_rungs_and_moves_one_at_a_time(pressures):
    ladder, before = Ladder(), 0
    for number, pressure in enumerate(pressures):
        ladder.saw(pressure, number / 2)
        assert abs(ladder.rung - before) <= 1
        assert 0 <= ladder.rung <= RUNGS
        before = ladder.rung


def test_each_rung_adds_a_measure_that_the_project_allows():
    steps = Steps(shorter=64, smaller="tiny", cached=True, refuse=True)
    met = [named(measures(rung, steps, is_interactive=False)) for rung in range(RUNGS + 1)]
    assert met == [
        (),
        ("shorter",),
        ("shorter", "smaller"),
        ("shorter", "smaller", "cached"),
        ("shorter", "smaller", "cached", "refuse"),
    ]
    assert not measures(RUNGS, steps, is_interactive=True).refused
    assert measures(RUNGS, Steps(), is_interactive=False) == NOTHING
