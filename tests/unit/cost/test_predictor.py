import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.predictor import (
    COLD_OUTCOMES,
    COLD_SPREAD,
    WINDOW,
    Outcome,
    Predictor,
    Prior,
    fold,
    fresh,
    observe,
    unknown,
)
from littoral.cost.prior import measured
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId

HERE = EndpointId("e")
TRUE = Prior(fixed_s=0.05, prefill_s=0.002, step_s=0.06, crowd_s=0.004)
OUTCOMES = st.builds(
    Outcome,
    tokens_in=st.integers(0, 4000),
    tokens_cached=st.integers(0, 100),
    tokens_out=st.integers(0, 2000),
    active=st.integers(0, 20),
    slots=st.integers(1, 8),
    first_s=st.one_of(st.none(), st.floats(1e-4, 100)),
    total_s=st.floats(1e-4, 1000),
    predicted_p90_s=st.floats(0, 1000),
    censored=st.booleans(),
)


def promised(
    folded: Folded, tokens_in: int, tokens_out: int, *, active: int = 0
) -> tuple[float, float]:
    """p50 and p90 of a request that finds a slot free."""
    writing = (folded.t_step + folded.t_crowd * min(active, 3)) * (tokens_out - 1)
    p50 = folded.t0 + folded.t_in * tokens_in + writing
    share = writing / p50
    return p50, p50 * math.exp(folded.scale * math.hypot(folded.width, share * folded.length))


def served(
    predictor: Predictor, index: int, *, factor: float = 1.0, noise: float = 0.3, active: int = 0
) -> Outcome:
    """What a machine of ``TRUE`` speed takes for the index-th request, with periodic noise."""
    tokens_in, tokens_out = 20 + index * 37 % 400, 5 + index * 53 % 190
    jitter = math.exp(noise * math.sin(index * 2.4))
    wait = 1 + max(0, active + 1 - 4) / 4
    first = TRUE.fixed_s + TRUE.prefill_s * tokens_in
    step = TRUE.step_s + TRUE.crowd_s * min(active, 3)
    total = (first + step * (tokens_out - 1)) * wait
    return Outcome(
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        active=active,
        slots=4,
        first_s=(first + total - total / wait) * factor * jitter,
        total_s=total * factor * jitter,
        predicted_p90_s=promised(fold(predictor, version=1), tokens_in, tokens_out)[1] * wait,
    )


def trained(count: int = 200, *, active: int = 0) -> Predictor:
    predictor = fresh(HERE)
    for index in range(count):
        predictor = observe(predictor, served(predictor, index, active=active))
    return predictor


def test_nothing_is_promised_of_an_unknown_machine_but_three_times_the_prior():
    folded = unknown(HERE)
    prior = Prior()
    assert folded.state == "cold"
    assert (folded.version, folded.endpoint, folded.out_p50) == (0, HERE, 128)
    assert (folded.t0, folded.t_in, folded.t_step) == (
        prior.fixed_s,
        prior.prefill_s,
        prior.step_s,
    )
    p50, p90 = promised(folded, 100, 50)
    assert p90 == pytest.approx(3 * p50)


def test_it_is_cold_for_a_dozen_outcomes():
    assert trained(COLD_OUTCOMES - 1).state == "cold"
    assert fold(trained(COLD_OUTCOMES - 1), version=1).width == COLD_SPREAD
    warm = trained(COLD_OUTCOMES)
    assert (warm.state, warm.scored, warm.hits) == ("ok", 0, 0)


@pytest.mark.parametrize("active", [0, 2, 6])
def test_it_learns_the_machine_at_its_load(active):
    folded = fold(trained(active=active), version=9)
    assert (folded.state, folded.version) == ("ok", 9)
    for tokens_in, tokens_out in [(50, 20), (300, 100), (100, 150)]:
        first = TRUE.fixed_s + TRUE.prefill_s * tokens_in
        step = TRUE.step_s + TRUE.crowd_s * min(active, 3)
        p50, p90 = promised(folded, tokens_in, tokens_out, active=active)
        assert p50 == pytest.approx(first + step * (tokens_out - 1), rel=0.25)
        assert p90 > p50 * 1.02


def test_the_bound_covers_nine_of_ten():
    predictor, held = trained(300), 0
    for index in range(300, 900):
        outcome = served(predictor, index)
        held += outcome.total_s <= outcome.predicted_p90_s
        predictor = observe(predictor, outcome)
    assert 0.85 < held / 600 < 0.95
    assert predictor.state == "ok"


def test_the_length_of_answers_is_learned():
    predictor = trained(600)
    assert 60 < fold(predictor, version=1).out_p50 < 140
    for _ in range(900):
        outcome = replace(served(predictor, 1), tokens_out=1)
        predictor = observe(predictor, outcome)
    assert fold(predictor, version=1).out_p50 == 1


def test_the_bound_covers_lengths_that_nobody_knew():
    """A steady machine whose answers are of any length: the promise is made at the median."""
    predictor, held, seen = fresh(HERE), 0, set()
    for index in range(900):
        folded = fold(predictor, version=1)
        tokens_out = round(80 * math.exp(0.7 * math.sin(index * 2.4) * 1.5))
        total = 0.05 + 0.002 * 50 + 0.06 * (tokens_out - 1)
        p90 = promised(folded, 50, folded.out_p50)[1]
        outcome = replace(
            served(predictor, 0),
            tokens_in=50,
            tokens_out=tokens_out,
            first_s=0.15,
            total_s=total,
            predicted_p90_s=p90,
        )
        predictor = observe(predictor, outcome)
        if index >= 300:
            held += total <= p90
            seen.add(predictor.state)
    assert 0.85 < held / 600 < 0.95
    assert seen == {"ok"}
    assert fold(predictor, version=1).scale < 2


def test_answers_that_were_not_streamed_teach_the_total():
    predictor = fresh(HERE)
    for index in range(200):
        predictor = observe(predictor, replace(served(predictor, index), first_s=None))
    p50, _ = promised(fold(predictor, version=1), 100, 100)
    assert p50 == pytest.approx(0.05 + 0.2 + 0.06 * 99, rel=0.25)


def test_tokens_from_the_cache_are_not_read_again():
    plain = observe(fresh(HERE), replace(served(fresh(HERE), 3), tokens_in=50))
    cached = observe(fresh(HERE), replace(served(fresh(HERE), 3), tokens_in=450, tokens_cached=400))
    assert plain == cached


@pytest.mark.parametrize(
    "change",
    [
        {"total_s": math.nan},
        {"total_s": math.inf},
        {"total_s": 0.0},
        {"first_s": -1.0},
        {"first_s": math.nan},
        {"first_s": 1e9},
        {"slots": 0},
    ],
)
def test_figures_that_cannot_be_teach_nothing(change):
    before = trained(20)
    assert observe(before, replace(served(before, 21), **change)) is before


def test_a_cancelled_request_counts_only_as_a_bound_that_was_missed():
    before = trained(100)
    outcome = replace(served(before, 1), censored=True, predicted_p90_s=1.0)
    assert observe(before, replace(outcome, first_s=0.1, total_s=0.9)) is before
    assert observe(before, replace(outcome, predicted_p90_s=0.0)) is before
    after = observe(before, replace(outcome, first_s=0.1, total_s=1.1))
    assert after.scale > before.scale
    assert after == replace(
        before,
        scale=after.scale,
        phases=after.phases,
        hits=before.hits << 1 & (1 << WINDOW) - 1,
        scored=89,
    )
    assert after.phases[1].scale > before.phases[1].scale


def test_an_outcome_without_a_bound_is_not_scored():
    before = trained(100)
    after = observe(before, replace(served(before, 100), predicted_p90_s=0.0))
    assert (after.count, after.scored, after.hits) == (101, before.scored, before.hits)


def scored(state: str, held: int) -> Predictor:
    """A predictor whose last window, all but one outcome, held ``held`` times."""
    return replace(trained(100), state=state, scored=WINDOW - 1, hits=(1 << held) - 1)


@pytest.mark.parametrize(
    ("state", "held", "then"),
    [
        ("ok", 36, "ok"),
        ("ok", 35, "suspect"),
        ("suspect", 41, "ok"),
        ("suspect", 40, "suspect"),
        ("suspect", 29, "suspect"),
        ("suspect", 28, "off"),
        ("off", 39, "suspect"),
        ("off", 38, "off"),
    ],
)
def test_the_state_follows_the_last_fifty_bounds(state, held, then):
    before = scored(state, held)
    good = replace(served(before, 1, noise=0.0), predicted_p90_s=1e9)
    after = observe(before, good)
    assert after.state == then
    if then == state:
        assert (after.scored, after.hits) == (WINDOW, ((1 << held) - 1) << 1 | 1)
    else:
        assert (after.scored, after.hits) == (0, 0)


def test_a_suspect_promises_less_and_learns_faster():
    before = scored("ok", 20)
    after = observe(before, replace(served(before, 1), predicted_p90_s=1e-6))
    assert after.state == "suspect"
    assert after.scale > 1.2 * before.scale
    assert after.recursion.covariance[7] > 3 * before.recursion.covariance[7]


def test_a_slowdown_that_lasts_is_suspected_and_then_learned():
    predictor, seen = trained(300), []
    for index in range(300, 700):
        predictor = observe(predictor, served(predictor, index, factor=3.0))
        seen.append(predictor.state)
    assert "suspect" in seen[:50]
    assert predictor.state == "ok"


def test_what_is_off_promises_the_prior_and_goes_on_learning():
    off = replace(trained(200), state="off")
    folded = fold(off, version=1)
    assert folded.state == "off"
    assert replace(folded, state="cold", out_p50=128, version=0) == unknown(HERE)
    for index in range(200, 200 + WINDOW):
        outcome = replace(served(off, index), predicted_p90_s=1e-9)
        off = observe(off, outcome)
    assert off.state == "suspect"


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_poisoned_coefficient_turns_it_off_at_once(poison):
    good = trained(100)
    for bad in (
        replace(good, q50=poison),
        replace(good, scale=poison),
        replace(good, recursion=good.recursion._replace(theta=(1.0, poison, 1.0, 1.0))),
    ):
        folded = fold(bad, version=1)
        assert folded.state == "off"
        assert replace(folded, state="cold", out_p50=128, version=0) == unknown(HERE)


@given(st.lists(OUTCOMES, max_size=60))
def test_any_outcomes_leave_a_fold_that_can_be_served(outcomes):
    predictor = fresh(HERE)
    for outcome in outcomes:
        predictor = observe(predictor, outcome)
    folded = fold(predictor, version=1)
    for value in (folded.t0, folded.t_in, folded.t_step):
        assert math.isfinite(value)
        assert value > 0
    assert folded.out_p50 >= 1
    assert 1.0 <= math.exp(folded.scale * folded.width) < math.inf
    p50, p90 = promised(folded, 100, 100)
    assert p90 >= p50


def test_probes_of_an_idle_engine_are_a_prior():
    found = measured([(32, 1, 0.12, 0.12), (512, 1, 1.08, 1.08), (32, 32, 0.12, 0.74)])
    assert found == pytest.approx((0.056, 0.002, 0.02, 0.02 / 3))
    assert measured([]) == Prior()
    assert measured([(32, 1, 0.2, 0.2)])[1:] == Prior()[1:]
    odd = measured([(32, 1, 0.5, 0.5), (512, 1, 0.1, 0.1), (32, 8, 0.9, 0.2)])
    assert min(odd) > 0
