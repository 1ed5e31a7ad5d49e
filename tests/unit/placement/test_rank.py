import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.placement.decide import NEAR, Row, Verdict, rank
from littoral.placement.filters import RESIDENCE

FREE = Row("a", True, 0b11, 4096, 4, 0.1, 0.001, 0.01, math.log(1.5), 1.0, 0.0, 0.0)  # noqa: FBT003  ready
PAID = FREE._replace(id="b", t0=0.05, price_in=1.0, price_out=2.0)
SECONDS = st.floats(0.0001, 5)
PRICES = st.sampled_from([0.0, 0.1, 0.1005, 0.5, 3.0])
ROWS = st.lists(
    st.builds(
        Row,
        st.just("x"),
        st.booleans(),
        st.integers(0, 7),
        st.integers(0, 400),
        st.integers(1, 4),
        SECONDS,
        SECONDS,
        SECONDS,
        st.floats(0.02, 3.0),
        st.floats(0.5, 2.0),
        PRICES,
        PRICES,
        usable=st.floats(0.0, 1.0),
        t_crowd=st.floats(0.0, 1.0),
        harm=st.floats(0.0, 5.0),
    ),
    max_size=5,
)
ASKS = st.fixed_dictionaries(
    {
        "tokens_in": st.integers(0, 200),
        "tokens_out": st.integers(1, 200),
        "mask": st.integers(0, 7),
        "total_s": st.one_of(st.just(math.inf), st.floats(0, 2000)),
        "skip": st.integers(0, 31),
    }
)


def ask(rows: list[Row], loads: list[int] | None = None, **change: float) -> Verdict:
    plain = {"tokens_in": 100, "tokens_out": 51, "mask": 1, "total_s": math.inf, "skip": 0}
    return rank(rows, loads or [0] * len(rows), **(plain | change))


def test_one_row_that_passes_is_the_only_one():
    verdict = ask([PAID])
    assert (verdict.position, verdict.why, verdict.rejected) == (0, "only", (0, 0, 0, 0, 0, 0))
    assert verdict[2:6] == pytest.approx((0.15, 0.65, 0.975, 0.000202))
    assert isinstance(verdict, Verdict)


def test_no_rows_give_no_choice():
    assert ask([]) == Verdict(-1, "none", 0.0, 0.0, 0.0, 0.0, (0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("rejected", "change"),
    [
        ((1, 0, 0, 0, 0, 0), {"mask": 0b100 | RESIDENCE}),
        ((0, 1, 0, 0, 0, 0), {"mask": 0b100}),
        ((0, 0, 1, 0, 0, 0), {"context": 150}),
        ((0, 0, 0, 1, 0, 0), {"ready": False}),
    ],
)
def test_each_filter_rejects_and_counts(rejected, change):
    needs = {"mask": change.pop("mask")} if "mask" in change else {}
    verdict = ask([FREE._replace(**change)], **needs)
    assert (verdict.position, verdict.why, verdict.rejected) == (-1, "none", rejected)


def test_the_filters_run_in_the_order_of_the_reasons():
    hopeless = FREE._replace(mask=0, context=1, ready=False)
    assert ask([hopeless], total_s=0.0).rejected == (0, 1, 0, 0, 0, 0)
    assert ask([hopeless._replace(mask=1)], total_s=0.0).rejected == (0, 0, 1, 0, 0, 0)
    assert ask([hopeless._replace(mask=1, context=4096)], total_s=0.0).rejected == (
        0,
        0,
        0,
        1,
        0,
        0,
    )


def test_a_context_that_is_just_long_enough_passes():
    assert ask([FREE._replace(context=151)]).position == 0
    assert ask([FREE._replace(context=150)]).position == -1


def test_the_cheapest_wins_over_the_faster():
    assert ask([PAID, FREE])[:2] == (1, "cheapest")


def test_within_one_percent_of_the_cheapest_the_faster_wins():
    near = PAID._replace(price_in=1.005, t0=0.01)
    assert ask([PAID, near])[:2] == (1, "fastest")
    assert ask([PAID, near._replace(price_in=1.1, price_out=2.2)])[:2] == (0, "cheapest")


def test_a_tie_goes_to_the_lower_position():
    assert ask([FREE, FREE, FREE])[:2] == (0, "fastest")


def test_a_full_row_costs_the_wait_for_a_slot():
    first, total = ask([FREE])[2:4]
    assert ask([FREE], [3])[2:4] == (first, total)
    assert ask([FREE], [4])[2:4] == pytest.approx((first + total / 4, total * 1.25))
    assert ask([FREE], [11])[2:4] == pytest.approx((first + total * 2, total * 3))
    assert ask([FREE, FREE._replace(t0=0.2)], [4, 0]).position == 1


def test_the_deadline_is_held_by_the_p90():
    p90 = ask([FREE]).total_p90
    assert ask([FREE], total_s=p90)[:2] == (0, "only")
    missed = ask([FREE], total_s=p90 * 0.999)
    assert (missed.position, missed.why, missed.rejected) == (0, "least_miss", (0, 0, 0, 0, 1, 0))


def test_a_deadline_sends_the_request_to_the_dearer_place():
    assert ask([FREE, PAID], total_s=ask([PAID]).total_p90) == (
        *ask([PAID])._replace(position=1)[:6],
        (0, 0, 0, 0, 1, 0),
    )


def test_where_all_are_late_the_smallest_median_is_taken():
    wide = FREE._replace(t0=0.02, width=math.log(9.0))
    assert ask([FREE, wide], total_s=0.1)[:2] == (1, "least_miss")
    assert ask([FREE, FREE], total_s=0.1)[:2] == (0, "least_miss")


def test_a_deadline_that_is_past_still_finds_the_least_miss():
    assert ask([FREE], total_s=-1.0).why == "least_miss"


def test_rows_tried_before_are_left_out_and_not_counted():
    verdict = ask([FREE, PAID], skip=0b01)
    assert (verdict.position, verdict.why, verdict.rejected) == (1, "retry", (0, 0, 0, 0, 0, 0))
    assert ask([FREE, PAID], skip=0b11)[:2] == (-1, "none")
    assert ask([FREE, PAID], skip=0b10, total_s=0.1)[:2] == (0, "retry")


def test_rows_that_a_policy_bars_are_rejected_first_and_counted_once():
    verdict = ask([FREE, PAID], barred=0b01)
    assert (verdict.position, verdict.why) == (1, "only")
    assert verdict.rejected == (0, 0, 0, 0, 0, 1)
    tried = ask([FREE, PAID], barred=0b11, skip=0b01)
    assert (tried.position, tried.why, tried.rejected) == (-1, "none", (0, 0, 0, 0, 0, 1))


@given(ROWS, st.lists(st.integers(0, 9), min_size=5, max_size=5), ASKS)
def test_every_row_is_passed_rejected_or_skipped(rows, loads, asked):
    verdict = rank(rows, loads, **asked)
    skipped = sum(asked["skip"] >> i & 1 for i in range(len(rows)))
    passing = [
        alone
        for i in range(len(rows))
        if not asked["skip"] >> i & 1
        and (alone := rank([rows[i]], [loads[i]], **(asked | {"skip": 0}))).why == "only"
    ]
    assert len(passing) + sum(verdict.rejected) + skipped == len(rows)
    assert (verdict.position == -1) == (not passing and not verdict.rejected[4])
    if passing:
        cheapest = min(alone.cost for alone in passing)
        assert verdict.cost <= cheapest * NEAR * (1 + 1e-12)
        near = [alone for alone in passing if alone.cost <= cheapest * NEAR * (1 - 1e-12)]
        assert verdict.total_p50 <= min(alone.total_p50 for alone in near)
        assert verdict.total_p90 <= asked["total_s"]


@given(ROWS, st.lists(st.integers(0, 9), min_size=5, max_size=5), ASKS)
def test_trying_again_ends_after_every_row_was_tried_once(rows, loads, asked):
    skip, tried = 0, []
    while (verdict := rank(rows, loads, **(asked | {"skip": skip}))).position >= 0:
        tried.append(verdict.position)
        skip |= 1 << verdict.position
    assert len(tried) == len(set(tried)) <= len(rows)


@given(
    ROWS.filter(bool),
    st.lists(st.integers(0, 9), min_size=5, max_size=5),
    ASKS,
    st.data(),
)
def test_a_row_that_gets_worse_is_not_chosen_for_it(rows, loads, asked, data):
    before = rank(rows, loads, **asked).position
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["t0", "t_in", "t_step", "price_in", "price_out", "width"]))
    worse = rows[at]._replace(**{field: getattr(rows[at], field) * 2 + 0.01})
    after = rank([*rows[:at], worse, *rows[at + 1 :]], loads, **asked).position
    assert after != at or before == at


@given(
    ROWS.filter(bool), ASKS, st.integers(0, 9), st.sampled_from(["tokens_in", "tokens_out", "load"])
)
def test_more_tokens_and_more_load_never_take_less(rows, asked, load, grown):
    row = rows[0]._replace(ready=True, mask=7, context=10_000)
    plain = asked | {"skip": 0, "total_s": math.inf}
    less = rank([row], [load], **plain)
    more = (
        rank([row], [load + 1], **plain)
        if grown == "load"
        else rank([row], [load], **(plain | {grown: plain[grown] + 1}))
    )
    assert more.first_p50 >= less.first_p50
    assert more.total_p50 >= less.total_p50
    assert more.total_p90 >= more.total_p50
    assert more.cost >= less.cost


def test_a_deadline_that_is_just_the_p90_is_missed_in_one_of_ten():
    row = FREE._replace(price_in=0.0)
    total = 0.7 * 1.5
    miss = 0.1
    kept = ask([row, PAID], total_s=total, miss_cost=1.0)
    assert kept.position == 1
    assert kept.why == "safest"
    cheap = ask([row, PAID], total_s=total, miss_cost=0.000202 / miss * 0.9)
    assert (cheap.position, cheap.why) == (0, "cheapest")


def test_a_place_that_often_does_not_answer_costs_misses():
    lame = FREE._replace(usable=0.5)
    assert ask([lame, PAID], total_s=10.0, miss_cost=1.0).position == 1
    assert ask([lame, PAID], total_s=10.0, miss_cost=0.0).position == 0


def test_harm_to_others_counts_as_misses():
    full = FREE._replace(harm=5.0, t_crowd=0.01)
    assert ask([full, PAID], total_s=10.0, miss_cost=0.001).position == 1
    assert ask([FREE, PAID], total_s=10.0, miss_cost=0.001).position == 0


def test_a_request_that_would_do_more_harm_than_good_is_refused():
    full = FREE._replace(harm=50.0)
    verdict = ask([full], total_s=10.0, miss_cost=0.001)
    assert (verdict.position, verdict.why) == (-1, "shed")
    assert verdict.total_p50 > 0.0
    assert ask([full], miss_cost=0.001).position == 0


def test_a_miss_that_cannot_be_avoided_still_goes_where_it_is_least():
    verdict = ask([FREE, PAID], total_s=0.6, miss_cost=1.0)
    assert (verdict.position, verdict.why) == (1, "least_miss")
    assert ask([FREE], total_s=10.0, miss_cost=1.0).why == "only"


@given(ROWS, ASKS, st.floats(0.0, 10.0))
def test_a_price_on_misses_changes_no_count_and_never_leaves_the_rows(rows, asks, miss_cost):
    plain, priced = (
        rank(rows, [0] * len(rows), **asks),
        rank(rows, [0] * len(rows), **asks, miss_cost=miss_cost),
    )
    assert priced.rejected == plain.rejected
    assert -1 <= priced.position < len(rows)
    if priced.position >= 0:
        assert not asks["skip"] >> priced.position & 1
        assert rows[priced.position].ready


def test_a_dearer_place_is_not_even_looked_at_and_certainty_keeps_a_width():
    sure = FREE._replace(width=0.0)
    dear = PAID._replace(id="c", price_in=1e9)
    assert ask([sure, dear], total_s=10.0, miss_cost=0.001).position == 0
    assert ask([sure]).total_p90 == pytest.approx(0.7 * math.exp(0.02))


@pytest.mark.parametrize("total_s", [2.0, 1e6])
def test_of_two_alike_the_faster_is_taken_then_the_lower_position(total_s):
    assert ask([FREE, FREE], total_s=total_s, miss_cost=1.0).position == 0
    faster = FREE._replace(t0=0.01)
    assert ask([FREE, faster], total_s=total_s, miss_cost=1.0).position == 1
    assert ask([FREE, FREE], [4, 0], total_s=total_s, miss_cost=1.0).position == 1
