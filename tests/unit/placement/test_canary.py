"""A version as good as the old one is accepted, a worse one is not: shown by simulation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.rollout import Arm, RolloutSpec
from littoral.placement.canary import errors, is_chosen, judge, latency, quality
from littoral.testing.chance import SeededChance

SPEC = RolloutSpec()


def arm(chance, count, *, slower=1.0, failed=0) -> Arm:
    times = [slower * (0.1 + 0.2 * chance.random() ** 4) for _ in range(count)]
    return Arm(firsts=tuple(times), steps=tuple(t / 10 for t in times), failed=failed, total=count)


def ruled(*, slower=1.0, count=600, failed=0, spec=SPEC, diffs=(), seed=0):
    chance = SeededChance(seed)
    old = arm(chance, 1000)
    new = arm(chance, count, slower=slower, failed=failed)
    return judge(spec, old, new, diffs=diffs, chance=chance)


@given(name=st.text(max_size=20), small=st.floats(0, 1), more=st.floats(0, 1))
def test_whoever_is_chosen_at_a_smaller_share_is_chosen_at_a_larger_one(name, small, more):
    low, high = sorted([small, more])
    assert is_chosen(name, high) or not is_chosen(name, low)
    assert is_chosen(name, 1.0)
    assert not is_chosen(name, 0.0)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25])
def test_a_share_of_requests_is_that_share(share):
    chosen = sum(is_chosen(f"req_{at}", share) for at in range(20_000))
    assert chosen == pytest.approx(20_000 * share, rel=0.2)


def test_of_forty_equal_versions_nearly_all_are_accepted_and_none_refused():
    found = [ruled(seed=seed).verdict for seed in range(40)]
    assert found.count("accept") >= 30
    assert "reject" not in found


def test_of_forty_slower_versions_none_is_accepted():
    found = [ruled(slower=1.5, seed=seed).verdict for seed in range(40)]
    assert found.count("reject") >= 38
    assert "accept" not in found


def test_few_requests_settle_nothing():
    assert ruled(count=100).verdict == "more"
    assert "100 of 200 requests" in ruled(count=100).why


def test_a_version_that_cannot_be_shown_to_be_good_is_refused_in_the_end():
    chance = SeededChance(1)
    old = arm(chance, 50)
    new = replace(arm(chance, 2000), firsts=old.firsts[:3], steps=old.steps[:3])
    found = judge(SPEC, replace(old, firsts=(0.1,)), new, diffs=(), chance=chance)
    assert found.verdict == "reject"
    assert "not shown" in found.why
    fewer = replace(new, total=1999)
    found = judge(SPEC, replace(old, firsts=(0.1,)), fewer, diffs=(), chance=chance)
    assert found.verdict == "more"


def test_half_of_the_requests_failing_ends_it_at_once():
    assert ruled(count=20, failed=10).verdict == "reject"
    assert ruled(count=20, failed=1).verdict == "more"


@pytest.mark.parametrize(
    ("failed", "verdict"), [(0, "accept"), (1, "accept"), (3, "more"), (30, "reject")]
)
def test_errors_may_rise_by_half_a_point(failed, verdict):
    old, new = Arm(failed=0, total=1000), Arm(failed=failed, total=200)
    assert errors(old, new, bound=0.005).verdict == verdict


def diffs(chance, count, *, worse):
    """Items on which one of ten verdicts differs, and the new version loses ``worse`` more."""
    return [
        (1.0 if chance.random() < 0.05 + worse else 0.0) - (1.0 if chance.random() < 0.05 else 0.0)
        for _ in range(count)
    ]


def test_equal_quality_is_accepted_where_there_are_items_enough():
    found = [
        quality(diffs(SeededChance(s), 2700, worse=0.0), eps=0.02, most=2700).verdict
        for s in range(40)
    ]
    assert found.count("accept") >= 30


def test_worse_quality_is_refused():
    found = [
        quality(diffs(SeededChance(s), 700, worse=0.06), eps=0.02, most=700).verdict
        for s in range(40)
    ]
    assert "accept" not in found
    assert found.count("reject") >= 38


def test_quality_waits_for_its_items():
    assert quality([0.0], eps=0.02, most=100).verdict == "more"
    assert quality([0.0] * 50, eps=0.02, most=100).verdict == "more"
    assert quality([0.0] * 100, eps=0.02, most=100).verdict == "accept"
    assert quality([1.0] * 10, eps=0.02, most=100).verdict == "reject"


def test_golden_items_hold_a_version_that_is_fast_enough():
    spec = replace(SPEC, golden=100)
    assert ruled(spec=spec).verdict == "more"
    assert ruled(spec=spec, diffs=[0.0] * 100).verdict == "accept"
    assert ruled(spec=spec, diffs=[1.0] * 100).verdict == "reject"


def test_too_few_times_settle_nothing():
    found = latency([0.1], [0.1, 0.1], bound=1.15, what="x", chance=SeededChance(0))
    assert found.verdict == "more"
