"""The fair queue: shares, floors, bounds, and nobody gains by looking cheap."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.gateway.lane import Claim
from littoral.gateway.queue import FLOOR, LEVELS, FairQueue


def claim(project="a", *, level=1, weight=1.0, busy_s=1.0, due=1e9, size=100):
    return Claim(project, level, weight, busy_s, due, size)


def served(queue, count, *, refill, actual=None):
    """Engine seconds by project of ``count`` requests while every project stays backlogged."""
    seconds = Counter()
    for _ in range(count):
        ticket = queue.pop()
        took = actual(ticket.claim) if actual else ticket.claim.busy_s
        seconds[ticket.claim.project] += took
        queue.settle(ticket, actual_s=took)
        queue.push(None, refill(ticket.claim), now=0.0)
    return seconds


weights = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=5)
costs = st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=5, max_size=5)


@settings(max_examples=30, deadline=None)
@given(weights, costs)
def test_backlogged_projects_get_engine_time_by_weight_within_five_percent(weights, costs):
    queue = FairQueue()
    claims = {
        str(at): claim(str(at), weight=weight, busy_s=costs[at])
        for at, weight in enumerate(weights)
    }
    for each in claims.values():
        for _ in range(3):
            queue.push(None, each, now=0.0)
    seconds = served(queue, 1000, refill=lambda done: done)
    total = sum(seconds.values())
    for name, each in claims.items():
        assert seconds[name] / total == pytest.approx(each.weight / sum(weights), rel=0.05)


@pytest.mark.parametrize("lie", [0.01, 0.1, 10.0])
def test_who_looks_cheaper_or_dearer_than_it_is_gains_nothing(lie):
    queue = FairQueue()
    honest, liar = claim("honest"), claim("liar", busy_s=lie)
    for _ in range(200):
        queue.push(None, honest, now=0.0)
        queue.push(None, liar, now=0.0)
    seconds = served(queue, 1000, refill=lambda done: done, actual=lambda _: 1.0)
    assert seconds["liar"] / 1000 == pytest.approx(0.5, rel=0.05)


def test_a_project_that_leaves_and_returns_is_owed_nothing():
    queue = FairQueue()
    for _ in range(50):
        queue.push("a", claim("a"), now=0.0)
        queue.pop()
    for name in "ab" * 20:
        queue.push(name, claim(name), now=0.0)
    first = [queue.pop().item for _ in range(20)]
    assert 9 <= first.count("b") <= 11


def test_a_higher_level_goes_first():
    queue = FairQueue()
    for level in (3, 1, 0, 2):
        queue.push(level, claim(level=level), now=0.0)
    assert [queue.pop().item for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_lower_level_keeps_its_floor_and_no_more(level):
    queue = FairQueue()
    for at in (0, level):
        for _ in range(3):
            queue.push(None, claim(str(at), level=at), now=0.0)
    seconds = served(queue, 2000, refill=lambda done: done)
    assert seconds[str(level)] / 2000 == pytest.approx(FLOOR / (1 + FLOOR), rel=0.05)


def test_a_floor_is_measured_by_what_requests_took_not_by_what_was_expected():
    queue = FairQueue()
    for at, cost in ((0, 1.0), (3, 0.1)):
        for _ in range(3):
            queue.push(None, claim(str(at), level=at, busy_s=cost), now=0.0)
    seconds = served(queue, 4000, refill=lambda done: done, actual=lambda _: 1.0)
    assert seconds["3"] / 4000 == pytest.approx(FLOOR / (1 + FLOOR), rel=0.1)


def test_within_a_project_requests_keep_their_order_unless_the_newest_is_asked_for():
    queue = FairQueue()
    for number in range(4):
        queue.push(number, claim(level=0), now=float(number))
    assert [queue.pop().item, queue.pop(newest=True).item] == [0, 3]
    assert [queue.pop().item, queue.pop().item, queue.pop()] == [1, 2, None]


def test_the_newest_first_is_for_interactive_requests_only():
    queue = FairQueue()
    for number in range(3):
        queue.push(number, claim(level=2), now=float(number))
    assert queue.pop(newest=True).item == 0


def test_it_is_bounded_in_requests_and_in_bytes():
    queue = FairQueue(most=3, most_bytes=250)
    assert queue.push(1, claim(size=100), now=0.0)[0]
    assert queue.push(2, claim(size=100), now=0.0)[0]
    assert queue.push(3, claim(size=100), now=0.0) == (None, [])
    assert queue.push(3, claim(size=50), now=0.0)[0]
    assert queue.push(4, claim(size=0), now=0.0) == (None, [])
    queue.pop()
    assert queue.push(4, claim(size=0), now=0.0)[0]


def test_a_full_queue_makes_room_for_who_waits_with_less_at_the_cost_of_who_waits_with_most():
    queue = FairQueue(most=10)
    for number in range(10):
        queue.push(number, claim("flood"), now=0.0)
    ticket, gone = queue.push("quiet", claim("quiet"), now=0.0)
    assert ticket is not None
    assert [each.item for each in gone] == [9]
    assert queue.count == 10
    assert queue.push(11, claim("flood"), now=0.0) == (None, [])


def test_a_flood_of_large_bodies_makes_room_as_well():
    queue = FairQueue(most_bytes=1000)
    for number in range(3):
        queue.push(number, claim("flood", size=300), now=0.0)
    ticket, gone = queue.push("quiet", claim("quiet", size=200), now=0.0)
    assert ticket is not None
    assert [each.item for each in gone] == [2]


def test_room_is_never_made_by_a_higher_level():
    queue = FairQueue(most=10)
    for number in range(10):
        queue.push(number, claim("flood", level=0), now=0.0)
    assert queue.push("batch", claim("quiet", level=2), now=0.0) == (None, [])


def test_a_request_put_back_is_the_first_of_its_project_again_and_costs_nothing():
    queue = FairQueue()
    for number in range(4):
        queue.push(number, claim("a"), now=float(number))
        queue.push(10 + number, claim("b"), now=float(number))
    for _ in range(5):
        queue.put_back(queue.pop())
    order = [queue.pop().item for _ in range(8)]
    assert [n for n in order if n < 10] == [0, 1, 2, 3]
    assert sum(n < 10 for n in order[:4]) == 2


def test_the_predicted_wait_is_bounded_by_the_projects_share():
    queue = FairQueue()
    for _ in range(100):
        queue.push(None, claim("busy"), now=0.0)
    assert queue.wait_s(claim("busy"), 1) == pytest.approx(101.0)
    assert queue.wait_s(claim("quiet"), 1) == pytest.approx(2.0)
    assert queue.wait_s(claim("quiet"), 4) == pytest.approx(0.5)
    assert queue.wait_s(claim("busy", level=0), 1) == pytest.approx(1.0)
    assert queue.wait_s(claim("quiet", level=2), 1) == pytest.approx(101.0)


def test_the_old_are_found_by_level():
    queue = FairQueue()
    for number in range(6):
        queue.push(number, claim("ab"[number % 2], level=number % 3), now=float(number))
    assert [ticket.item for ticket in queue.older(0, 3.0)] == [0]
    assert {ticket.item for ticket in queue.older(0, 9.0)} == {0, 3}
    assert len(queue.tickets()) == 6


def test_projects_at_rest_are_forgotten():
    queue = FairQueue()
    for number in range(5000):
        queue.push(None, claim(f"p{number}"), now=0.0)
        queue.pop()
    assert len(queue) <= 1100


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from("abc"), st.integers(0, LEVELS - 1)),
        st.tuples(st.sampled_from(["pop", "newest", "back"])),
        st.tuples(st.just("leave"), st.integers(0, 60)),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_every_request_is_served_or_leaves_exactly_once(steps):
    queue, tickets, gone = FairQueue(), [], []
    for step in steps:
        if step[0] == "push":
            ticket, _ = queue.push(len(tickets), claim(step[1], level=step[2]), now=0.0)
            tickets.append(ticket)
        elif step[0] == "leave":
            if step[1] < len(tickets) and tickets[step[1]].waiting:
                gone.append(step[1])
                queue.leave(tickets[step[1]])
                queue.leave(tickets[step[1]])
        else:
            ticket = queue.pop(newest=step[0] == "newest")
            if ticket is not None and step[0] == "back":
                queue.put_back(ticket)
            elif ticket is not None:
                gone.append(ticket.item)
        assert queue.count == len(tickets) - len(gone)
        assert queue.size == 100 * queue.count
    while (ticket := queue.pop()) is not None:
        gone.append(ticket.item)
    assert sorted(gone) == list(range(len(tickets)))
    assert [queue.wait_s(claim(level=level), 1) for level in range(LEVELS)] == [1.0] * LEVELS


def test_requests_that_leave_at_once_do_not_pile_up():
    queue = FairQueue()
    queue.push(None, claim(), now=0.0)
    for _ in range(10_000):
        queue.leave(queue.push(None, claim(), now=0.0)[0])
    assert len(queue) < 100


def test_a_project_whose_requests_all_left_waits_again_like_any_other():
    queue = FairQueue()
    tickets = [queue.push(name, claim(name), now=0.0)[0] for name in "ab"]
    for ticket in tickets:
        queue.leave(ticket)
    for name in "abc":
        queue.push(name, claim(name), now=0.0)
    assert sorted(queue.pop().item for _ in range(3)) == ["a", "b", "c"]


def test_the_newest_put_back_is_the_newest_again():
    queue = FairQueue()
    for number in range(3):
        queue.push(number, claim(level=0), now=float(number))
    popped = [queue.pop(newest=True) for _ in range(2)]
    for ticket in reversed(popped):
        queue.put_back(ticket)
    assert [ticket.item for ticket in queue.older(0, 5.0)] == [0, 1, 2]


lines = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.integers(0, LEVELS - 1), st.sampled_from([0.5, 1.0, 2.0])
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(lines, st.data())
def test_looking_who_goes_next_changes_nothing_of_who_does(asked, data):
    plain, looked = FairQueue(), FairQueue()
    weights = {"a": 1.0, "b": 3.0, "c": 0.5, "d": 1.0}
    for number, (project, level, busy_s) in enumerate(asked):
        each = claim(project, level=level, weight=weights[project], busy_s=busy_s)
        plain.push(number, each, now=0.0)
        looked.push(number, each, now=0.0)
    for _ in asked:
        passed = [looked.pop() for _ in range(data.draw(st.integers(0, looked.count)))]
        for ticket in reversed(passed):
            looked.put_back(ticket)
        here, there = plain.pop(), looked.pop()
        assert here.item == there.item
        took = data.draw(st.sampled_from([0.25, 1.0, 4.0]))
        plain.settle(here, actual_s=took)
        looked.settle(there, actual_s=took)


def test_looking_for_long_piles_nothing_up():
    queue = FairQueue()
    for number in range(40):
        queue.push(number, claim("abcd"[number % 4]), now=0.0)
    for _ in range(1000):
        for ticket in reversed([queue.pop() for _ in range(8)]):
            queue.put_back(ticket)
    assert len(queue) < 200
