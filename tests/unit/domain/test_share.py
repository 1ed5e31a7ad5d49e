"""Slices of limits: what a division gives, and what it must not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.ids import NodeId
from littoral.domain.limits import Budget, Limits
from littoral.domain.share import (
    NOTHING,
    WHOLE,
    Draw,
    Holding,
    Party,
    Slice,
    believed,
    divide,
    is_over,
    most,
    share_name,
    slowed,
    taken_up,
    whole,
)

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")
HOUR = 3_600_000_000
TOTAL = Slice(since=HOUR, amount=1000, standing=1000, rate=WHOLE, open=10)


def part(amount, rate=None, *, since=HOUR, standing=None, count=0) -> Slice:
    given_rate = WHOLE * amount // 1000 if rate is None else rate
    return Slice(
        since=since,
        amount=amount,
        standing=amount if standing is None else standing,
        rate=given_rate,
        open=count,
    )


def here(held=NOTHING, *, sent=None, sure=True, **said) -> Party:
    return Party(holding=Holding(held=held, sent=sent, sure=sure), draw=Draw(held=held, **said))


def away(held, *, sent=None, sure=True) -> Party:
    return Party(holding=Holding(held=held, sent=sent, sure=sure))


def fresh(**said) -> Party:
    return here(Slice(since=HOUR), **said)


def test_a_node_alone_gets_everything():
    assert divide(TOTAL, {A: fresh()}, since=HOUR) == {A: TOTAL}


def test_nodes_of_which_nothing_is_known_get_the_same():
    given = divide(TOTAL, {A: fresh(), B: fresh()}, since=HOUR)
    assert given == {A: part(500, count=5), B: part(500, count=5)}


def test_demand_gets_most_and_an_idle_node_can_still_begin():
    given = divide(TOTAL, {A: fresh(demand=10.0), B: fresh()}, since=HOUR)
    assert (given[A].amount, given[B].amount) == (950, 50)
    assert (given[A].open, given[B].open) == (10, 0)
    assert given[A].rate + given[B].rate == WHOLE


def test_a_small_limit_is_with_one_node_and_not_with_none():
    small = Slice(since=HOUR, rate=WHOLE, open=1)
    given = divide(small, {A: fresh(), B: fresh(demand=3.0), C: fresh()}, since=HOUR)
    assert [given[name].open for name in (A, B, C)] == [0, 1, 0]


def test_what_a_node_has_is_taken_before_it_is_given():
    parties = {A: here(TOTAL, demand=1.0), B: fresh(demand=1.0, tight=True)}
    first = divide(TOTAL, parties, since=HOUR)
    assert first == {A: part(500, count=5)}
    lowered = first[A]
    parties[A] = here(TOTAL, sent=lowered, demand=1.0)
    assert divide(TOTAL, parties, since=HOUR) == {}
    parties[A] = here(lowered, demand=1.0)
    assert divide(TOTAL, parties, since=HOUR) == {B: part(500, count=5)}


def test_a_node_that_is_away_keeps_what_it_has_and_others_get_the_rest():
    given = divide(TOTAL, {A: away(part(300, count=3)), B: fresh()}, since=HOUR)
    assert given == {B: part(700, WHOLE - WHOLE * 3 // 10, count=7)}


def test_a_node_in_doubt_may_hold_everything():
    assert divide(TOTAL, {A: away(part(100), sure=False), B: fresh()}, since=HOUR) == {}


def test_what_was_spent_is_no_longer_there_to_be_divided():
    parties = {
        A: here(part(500, count=5), taken=400, demand=1.0, tight=True),
        B: here(part(500, count=5), taken=100),
    }
    given = divide(TOTAL, parties, since=HOUR)
    assert given[B].amount == 100 + 25
    assert A not in given or given[A].amount <= 500


def test_one_that_was_refused_for_want_of_money_gets_what_it_wanted_first():
    parties = {A: fresh(demand=99.0), B: fresh(demand=1.0, want=600)}
    given = divide(TOTAL, parties, since=HOUR)
    assert given[B].amount >= 600
    assert given[A].amount + given[B].amount == 1000
    parties = {A: fresh(demand=99.0), B: fresh(demand=1.0, want=1001)}
    assert divide(TOTAL, parties, since=HOUR)[B].amount < 100


def test_small_moves_are_not_worth_a_message_unless_somebody_is_short():
    parties = {
        A: here(part(520, count=5), demand=1.0),
        B: here(part(480, count=5), demand=1.0),
    }
    assert divide(TOTAL, parties, since=HOUR) == {}
    parties[B] = here(part(480, count=5), demand=1.0, tight=True)
    assert divide(TOTAL, parties, since=HOUR)[A].amount == 500


def test_while_nobody_is_short_nobody_gives_and_what_is_free_is_given():
    parties = {
        A: here(part(900, count=9), demand=1.0),
        B: here(part(50, count=1), demand=9.0),
    }
    given = divide(TOTAL, parties, since=HOUR)
    assert {name: each.amount for name, each in given.items()} == {B: 100}


def test_who_is_in_an_earlier_period_gets_no_more_money_for_it():
    old = part(200, since=0, standing=300, count=1)
    given = divide(TOTAL, {A: here(old), B: away(part(100))}, since=HOUR)
    assert (given[A].since, given[A].amount, given[A].standing) == (0, 200, 300)


def test_a_lower_limit_takes_from_everybody_at_once():
    parties = {A: here(part(500, count=5)), B: here(part(500, count=5))}
    low = Slice(since=HOUR, amount=990, standing=990, rate=WHOLE, open=10)
    assert {name: each.amount for name, each in divide(low, parties, since=HOUR).items()} == {
        A: 495,
        B: 495,
    }


def test_a_limit_that_is_no_more_is_taken_back():
    assert divide(NOTHING, {A: here(part(500))}, since=HOUR) == {A: Slice(since=HOUR)}


SIZES = st.integers(0, 1000)
SLICES = st.builds(
    Slice,
    since=st.sampled_from((0, HOUR)),
    amount=SIZES,
    standing=SIZES,
    rate=st.integers(0, WHOLE),
    open=st.integers(0, 10),
)
PARTIES = st.builds(
    lambda held, sent, sure, draw: Party(
        holding=Holding(held=held, sent=sent, sure=sure),
        draw=None if draw is None or not sure else Draw(held=held, **draw),
    ),
    SLICES,
    st.none() | SLICES,
    st.booleans(),
    st.none()
    | st.fixed_dictionaries(
        {
            "taken": SIZES,
            "demand": st.floats(0, 100),
            "want": SIZES,
            "tight": st.booleans(),
        }
    ),
)


@given(st.dictionaries(st.sampled_from((A, B, C, NodeId("d"))), PARTIES, min_size=1))
def test_no_division_allows_more_than_there_is_or_than_there_was(parties):
    given = divide(TOTAL, parties, since=HOUR)
    after = {
        name: Holding(
            held=each.holding.held,
            sent=given.get(name, each.holding.sent),
            sure=each.holding.sure,
        )
        for name, each in parties.items()
    }
    for field in ("amount", "standing", "rate", "open"):
        before = sum(getattr(each.holding.bound(HOUR, TOTAL), field) for each in parties.values())
        bounds = sum(getattr(each.bound(HOUR, TOTAL), field) for each in after.values())
        assert bounds <= max(before, getattr(TOTAL, field))


def test_a_slice_that_is_taken_up_covers_what_was_used():
    given = part(300, since=HOUR, standing=50, count=2)
    taken = {"under_way": 3}
    assert taken_up(given, since=HOUR, taken=400, **taken) == part(
        400, given.rate, since=HOUR, standing=50, count=3
    )
    assert taken_up(given, since=2 * HOUR, taken=10, under_way=0).amount == 50
    assert taken_up(given, since=0, taken=10, under_way=0).amount == 10


def test_slices_tell_what_they_allow():
    assert whole(Limits(requests_per_minute=3)) == Slice(rate=WHOLE)
    limits = Limits(concurrent=2, budget=Budget(amount=1.5, period="day"))
    assert whole(limits, 7) == Slice(
        since=7, amount=1_500_000_000, standing=1_500_000_000, rate=WHOLE, open=2
    )
    assert share_name("key:k", limits) == "key:k|day"
    assert share_name("key:k", Limits(concurrent=2)) == "key:k|-"
    assert Slice(since=9).empty
    assert not part(1).empty
    assert Holding(held=Slice(since=9)).empty
    assert not Holding(sent=Slice(since=9)).empty
    assert not Holding(sure=False).empty


def test_the_most_of_several_slices_is_as_of_one_period():
    found = most((part(9, 1, since=0, standing=4), part(3, 5, standing=2, count=1)), HOUR)
    assert found == Slice(since=HOUR, amount=4, standing=4, rate=5, open=1)


@pytest.mark.parametrize(("rate", "interval"), [(WHOLE, 10), (WHOLE // 2, 20), (0, 0)])
def test_a_part_of_a_rate_comes_back_more_slowly(rate, interval):
    assert slowed(10, rate) == interval


def test_of_what_a_node_says_only_what_it_was_given_or_has_used_is_believed():
    given = part(300, 10, since=HOUR, standing=50, count=2)
    assert believed(given, given, TOTAL, taken=0) == given
    claim = Slice(since=HOUR, amount=900, standing=800, rate=WHOLE, open=99)
    found = believed(claim, given, TOTAL, taken=400)
    assert found == Slice(since=HOUR, amount=400, standing=50, rate=10, open=max(2, TOTAL.open))


def test_nodes_have_too_much_where_their_bounds_pass_the_limit():
    half = Party(holding=Holding(held=part(0, WHOLE // 2, since=HOUR)))
    more = Party(holding=Holding(held=part(0, WHOLE // 2 + 1, since=HOUR)))
    assert not is_over(TOTAL, {A: half, B: half}, since=HOUR)
    assert is_over(TOTAL, {A: half, B: more}, since=HOUR)
