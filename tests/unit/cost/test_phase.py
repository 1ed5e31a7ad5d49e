import math
from dataclasses import replace

import pytest

from littoral.cost.phase import (
    ENOUGH,
    UNSEEN,
    Phase,
    centred,
    phase_of,
    put,
    rescaled,
    trend_after,
)
from littoral.cost.predictor import (
    JUDGED,
    WINDOW,
    Outcome,
    Predictor,
    fold,
    fresh,
    observe,
    skill,
)
from littoral.domain.ids import EndpointId

HERE = EndpointId("e")


@pytest.mark.parametrize(
    ("trend", "phase"), [(-0.2, 0), (-0.15, 1), (0.0, 1), (0.25, 1), (0.26, 2)]
)
def test_a_trend_means_a_phase(trend, phase):
    assert phase_of(trend) == phase


def test_the_trend_follows_residuals_and_an_outlier_moves_it_by_little():
    assert trend_after(0.0, 0.4) == pytest.approx(0.1)
    assert trend_after(0.0, 9.0) == trend_after(0.0, 1.5) == pytest.approx(0.375)
    assert trend_after(0.0, -9.0) == pytest.approx(-0.375)


def test_a_centre_goes_where_half_of_the_residuals_are_above():
    phase = Phase()
    for index in range(900):
        phase = centred(phase, 0.5 + 0.2 * math.sin(index * 2.4))
    assert phase.q50 == pytest.approx(0.5, abs=0.1)
    assert phase.seen == 900


def test_a_multiplier_stays_within_its_range():
    assert rescaled(1.0, 10**6, held=False) == pytest.approx(1.045)
    assert rescaled(1.0, 10**6, held=True) == pytest.approx(0.995)
    assert rescaled(0.1, 0, held=True) == 0.1
    assert rescaled(10.0, 0, held=False) == 10.0


def test_one_phase_is_put_back_and_the_others_stay():
    new = Phase(1.0, 2.0, 3)
    for at in range(3):
        phases = put(UNSEEN, at, new)
        assert [each == new for each in phases] == [at == each for each in range(3)]


def outcome(total_s: float, *, strain: float = 1.0, link_s: float = 0.0, p90: float = 1e9):
    return Outcome(
        tokens_in=100,
        tokens_out=50,
        active=0,
        slots=4,
        first_s=None,
        total_s=total_s,
        predicted_p90_s=p90,
        strain=strain,
        link_s=link_s,
    )


def total(predictor: Predictor, **now: float) -> float:
    folded = fold(predictor, version=1, **now)
    return folded.t0 + folded.t_in * 100 + folded.t_step * 49


def test_a_phase_promises_by_its_own_centre_once_it_was_seen_often_enough():
    base = replace(judged(8.0), trend=0.5, q50=0.0, scale=1.0)
    for count, factor in ((ENOUGH - 1, 1.0), (ENOUGH, 2.0)):
        slow = put(UNSEEN, 2, Phase(math.log(2.0), 0.7, count))
        held = total(replace(base, phases=slow)) / total(replace(base, phases=UNSEEN))
        assert held == pytest.approx(factor)
    assert fold(replace(base, phases=slow), version=1).scale == 0.7


def test_what_strain_does_is_learned_and_promised_again():
    predictor = fresh(HERE)
    for index in range(400):
        strain = 1.0 + index % 5 / 2
        predictor = observe(predictor, outcome(2.0 * strain**1.4, strain=strain))
    assert predictor.power == pytest.approx(1.4, abs=0.25)
    assert total(predictor) == pytest.approx(2.0, rel=0.25)
    assert total(predictor, strain=3.0) == pytest.approx(2.0 * 3.0**1.4, rel=0.25)


def test_the_way_is_taken_off_what_is_learned_and_added_as_it_is_now():
    predictor = fresh(HERE)
    for _ in range(200):
        predictor = observe(predictor, outcome(3.0, link_s=1.0))
    assert total(predictor) == pytest.approx(2.0, rel=0.1)
    assert total(predictor, link_s=0.5) == pytest.approx(2.5, rel=0.1)


def test_the_machine_took_a_tenth_of_the_seconds_whatever_is_said_of_the_way():
    predictor = observe(fresh(HERE), outcome(3.0, link_s=50.0))
    assert total(predictor) > 0.1


def test_skill_is_open_until_there_are_enough_outcomes():
    predictor = fresh(HERE)
    for index in range(JUDGED - 1):
        predictor = observe(predictor, outcome(1.0 + index % 7, p90=7.5))
    assert skill(predictor) == 0.0


def judged(p90: float) -> Predictor:
    predictor = fresh(HERE)
    for index in range(2 * JUDGED):
        predictor = observe(predictor, outcome(1.0 + index % 7, p90=p90))
    return predictor


def test_a_bound_that_is_tight_has_skill_and_one_that_is_far_out_has_none():
    assert skill(judged(7.01)) > skill(judged(30.0))
    assert skill(judged(1000.0)) < 0.0


@pytest.mark.parametrize(
    ("state", "held", "then"), [("suspect", 45, "off"), ("off", 45, "off"), ("ok", 45, "ok")]
)
def test_bounds_worse_than_a_plain_percentile_are_not_used(state, held, then):
    bad = replace(
        judged(7.5),
        state=state,
        loss=0.5,
        plain_loss=0.1,
        scored=WINDOW,
        hits=(1 << held) - 1,
    )
    assert observe(bad, outcome(3.0, p90=1e6)).state == then
