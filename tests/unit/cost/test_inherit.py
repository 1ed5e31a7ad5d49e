"""What a predictor begins with where others, or it itself before, knew such an engine."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.inherit import (
    CAREFUL,
    ENOUGH,
    doubt,
    inherited,
    is_news,
    is_shared,
    learned_of,
    pooled,
    resumed,
)
from littoral.cost.predictor import Outcome, fold, fresh, observe
from littoral.domain.ids import EndpointId
from littoral.domain.prior import Learned
from littoral.testing.chance import SeededChance

HERE, THERE = EndpointId("here@1"), EndpointId("there@4")
TRUE = (0.05, 0.0004, 0.004, 0.001)


def took(draw, *, slower=1.0):
    """One request of a machine whose coefficients are ``TRUE``, and the median of its seconds."""
    tokens_in, tokens_out = 20 + int(580 * draw.random()), 2 + int(198 * draw.random())
    noise = 0.2 * (draw.random() + draw.random() - 1.0)
    median_s = TRUE[0] + TRUE[1] * tokens_in + TRUE[2] * (tokens_out - 1)
    outcome = Outcome(
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        active=0,
        slots=4,
        first_s=None,
        total_s=median_s * slower * math.exp(noise),
        predicted_p90_s=median_s * 1.5 * slower,
    )
    return outcome, median_s * slower


def taught(count=200, seed=1, *, slower=1.0):
    draw = SeededChance(seed)
    predictor = fresh(HERE)
    for _ in range(count):
        predictor = observe(predictor, took(draw, slower=slower)[0])
    return predictor


def said(predictor, outcome):
    folded = fold(predictor, version=1)
    return folded.t0 + folded.t_in * outcome.tokens_in + folded.t_step * (outcome.tokens_out - 1)


def errors(predictor, seed=9):
    """The log errors of its first ten predictions, each made before it learns from the outcome."""
    draw = SeededChance(seed)
    found = []
    for _ in range(10):
        outcome, median_s = took(draw)
        found.append(abs(math.log(said(predictor, outcome) / median_s)))
        predictor = observe(predictor, outcome)
    return found


def test_a_second_machine_of_a_kind_begins_nearly_right():
    nodes = [learned_of(taught(seed=seed), kind="k") for seed in range(3)]
    begun = inherited(THERE, pooled(nodes, version=1))
    assert begun.state == "suspect"
    assert max(errors(begun)) < 0.25
    assert max(errors(fresh(THERE))) > 1.0
    folded, cold = fold(begun, version=1), fold(fresh(THERE), version=1)
    assert folded.scale * folded.width < cold.scale * cold.width / 2


def test_others_coefficients_are_on_probation_until_they_prove_right():
    begun = inherited(THERE, pooled([learned_of(taught(), kind="k")], version=1))
    draw = SeededChance(4)
    good = bad = begun
    for _ in range(ENOUGH):
        outcome, _ = took(draw)
        good = observe(good, outcome)
        bad = observe(bad, replace(outcome, predicted_p90_s=outcome.total_s / 2))
    assert (good.state, bad.state) == ("ok", "off")


def test_one_node_that_is_wrong_moves_a_prior_little():
    right = [learned_of(taught(seed=seed), kind="k") for seed in range(2)]
    wrong = learned_of(taught(seed=5, slower=50.0), kind="k")
    prior = pooled([*right, wrong], version=3)
    assert (prior.version, prior.nodes) == (3, 3)
    for found, true in zip(prior.theta[:3], TRUE, strict=False):
        assert 0.4 < found / true < 2.5


def test_a_predictor_goes_on_with_what_it_knew_itself():
    kept = taught()
    back = resumed(THERE, kept)
    assert back is not None
    assert (back.endpoint, back.state, back.scored, back.hits) == (THERE, "ok", 0, 0)
    assert back.recursion == kept.recursion
    assert max(errors(back)) < 0.25


SOUND = Learned(endpoint=HERE, state="ok", outcomes=ENOUGH, kind="k", theta=TRUE, q50=0.0, q90=0.2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"theta": (0.1, 0.2)}, "2 coefficients"),
        ({"theta": (0.1, math.nan, 0.1, 0.1)}, "prefill_s is nan"),
        ({"theta": (0.1, 0.1, 0.0, 0.1)}, "step_s is 0"),
        ({"theta": (math.inf, 0.1, 0.1, 0.1)}, "fixed_s is inf"),
        ({"theta": (0.1, 0.1, 0.1, -1.0)}, "crowd_s is -1"),
        ({"q50": -4.0}, "q50 is -4"),
        ({"q90": math.nan}, "q90 is nan"),
        ({"scale": 1e9}, "scale is 1e"),
        ({"power": -0.5}, "power is -0.5"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(change, named):
    poisoned = replace(SOUND, **change)
    assert named in doubt(poisoned)
    assert not is_shared(poisoned)
    assert doubt(SOUND) == ""


def test_a_kept_predictor_that_cannot_be_is_not_gone_on_with():
    assert resumed(HERE, replace(taught(), q50=math.nan)) is None


@pytest.mark.parametrize("change", [{"kind": ""}, {"state": "suspect"}, {"outcomes": ENOUGH - 1}])
def test_only_what_is_proven_is_shared(change):
    assert is_shared(SOUND)
    assert not is_shared(replace(SOUND, **change))


def test_a_prior_is_news_where_it_is_the_first_or_has_moved():
    old = pooled([SOUND], version=1)
    assert is_news(None, old)
    for factor, news in ((1.1, False), (1.2, True), (0.8, True)):
        moved = replace(old, version=2, theta=(*TRUE[:3], TRUE[3] * factor))
        assert is_news(old, moved) == news


@given(st.lists(st.floats(1e-8, 1e3), min_size=4, max_size=4), st.floats(0.05, 20.0))
def test_whatever_is_sound_makes_bounds_that_are_numbers(theta, scale):
    prior = pooled([replace(SOUND, theta=tuple(theta), scale=scale)], version=1)
    folded = fold(inherited(HERE, prior), version=1)
    assert all(math.isfinite(value) for value in (folded.t0, folded.t_in, folded.t_step))
    assert folded.scale >= CAREFUL
