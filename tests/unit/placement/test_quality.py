import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.placement.quality import (
    FADE,
    LEAST_SLACK,
    MOST_SLACK,
    STEP,
    WINDOW,
    YOUNG,
    Audit,
    Guard,
    Posterior,
    allowed,
    audited,
    error,
    expected,
    loss,
    share,
    watched,
)

LOSSES = st.floats(-1.0, 1.0)


def after(guard, count, *, lost, cheap=True):
    for _ in range(count):
        guard = watched(guard, Audit(loss=lost, cheap=cheap, probability=0.15))
    return guard


def test_an_audit_counts_less_with_each_later_one():
    once = audited(Posterior(), 0.5)
    assert once == Posterior(count=1.0, total=0.5, squares=0.25)
    twice = audited(once, -3.0)
    assert twice.count == pytest.approx(FADE + 1.0)
    assert twice.total == pytest.approx(0.5 * FADE - 1.0)
    assert twice.squares == pytest.approx(0.25 * FADE + 1.0)


def test_a_tag_that_nobody_audited_is_like_all_others():
    assert expected(Posterior(), mean=0.1) == pytest.approx(0.1)
    assert expected(Posterior(count=8.0, total=0.0), mean=0.1) == pytest.approx(0.05)


def test_tags_are_allowed_best_first_until_the_budget_is_planned():
    known = {
        "good": Posterior(count=1e6, total=0.0, asked=50),
        "fair": Posterior(count=1e6, total=1e5, asked=30),
        "bad": Posterior(count=1e6, total=5e5, asked=20),
    }
    assert allowed(known, budget=0.001, slack=1.0) == {"good"}
    assert allowed(known, budget=0.04, slack=1.0) == {"good", "fair"}
    assert allowed(known, budget=0.04, slack=0.5) == {"good"}
    assert allowed(known, budget=1.0, slack=1.0) == {"good", "fair", "bad"}
    assert allowed({}, budget=1.0, slack=1.0) == frozenset()


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.builds(
            Posterior, count=st.floats(0, 99), total=st.floats(-50, 50), asked=st.floats(0, 9)
        ),
        max_size=6,
    ),
    st.floats(0.0, 1.0),
    st.floats(0.05, 1.0),
)
def test_more_budget_or_slack_never_allows_less(known, budget, slack):
    some = allowed(known, budget=budget, slack=slack)
    assert some <= allowed(known, budget=budget * 2, slack=slack)
    assert some <= allowed(known, budget=budget, slack=min(1.0, slack * 2))


def test_everything_is_audited_at_first_and_cheap_answers_most_later():
    assert share(Guard(budget=0.02), cheap=True) == 1.0
    assert share(Guard(budget=0.02, count=YOUNG // 2), cheap=False) == 0.5
    assert share(Guard(budget=0.02, count=YOUNG - 1), cheap=True) == 0.15
    old = Guard(budget=0.02, count=YOUNG)
    assert not old.young
    assert (share(old, cheap=True), share(old, cheap=False)) == (0.15, 0.05)


def test_a_loss_above_the_budget_ends_trust_at_once_and_little_loss_restores_it_slowly():
    fine = after(Guard(budget=0.02), WINDOW, lost=0.0)
    assert fine.slack == MOST_SLACK
    lost = after(fine, 5 * STEP, lost=1.0)
    assert lost.slack == LEAST_SLACK
    again = after(lost, WINDOW + STEP, lost=0.0)
    assert LEAST_SLACK < again.slack < 2 * LEAST_SLACK
    assert len(again.recent) == WINDOW


def test_a_loss_that_may_be_within_the_budget_or_not_lowers_the_slack():
    guard = Guard(budget=0.5)
    for at in range(WINDOW):
        guard = watched(guard, Audit(loss=float(at % 2), cheap=True, probability=0.15))
    assert guard.slack == pytest.approx(0.75)


@given(st.lists(st.tuples(LOSSES, st.booleans(), st.floats(0.01, 1.0)), min_size=1, max_size=50))
def test_the_loss_lies_among_those_seen(rows):
    audits = [Audit(loss=lost, cheap=cheap, probability=p) for lost, cheap, p in rows]
    found = loss(audits)
    got = [audit.loss if audit.cheap else 0.0 for audit in audits]
    assert min(got) - 1e-9 <= found.mean <= max(got) + 1e-9
    assert found.error >= 0.0


def test_an_audit_stands_for_as_many_requests_as_it_was_picked_from():
    audits = [
        Audit(loss=1.0, cheap=True, probability=0.5),
        Audit(loss=9.0, cheap=False, probability=0.1),
    ]
    assert loss(audits).mean == pytest.approx(2.0 / 12.0)
    assert loss(()).error == math.inf


def test_the_error_of_a_tag_falls_with_its_audits_and_rises_with_their_spread():
    few = error(Posterior(count=2.0, total=1.0, squares=1.0), mean=0.5, square=0.5)
    many = error(Posterior(count=40.0, total=20.0, squares=20.0), mean=0.5, square=0.5)
    even = error(Posterior(count=40.0, total=20.0, squares=10.0), mean=0.5, square=0.25)
    assert few > many > even == 0.0
