"""What waits at a node says when it is to be looked at again."""

from littoral.domain.deferral import Deferral
from littoral.domain.units import SECOND_US
from littoral.node.ahead import Ahead


def waiting(name: str, *, expires_s: int) -> Deferral:
    return Deferral(
        id=name,
        project="p",
        key="k",
        path="/v1/chat/completions",
        model="m",
        accepted_us=0,
        expires_us=expires_s * SECOND_US,
        keep_us=0,
    )


def test_where_nothing_waits_there_is_nothing_to_look_at():
    assert Ahead().left(0.0, 0) is None


def test_what_waits_is_looked_at_when_the_first_of_it_expires():
    ahead = Ahead()
    ahead.add(waiting("late", expires_s=90))
    ahead.add(waiting("soon", expires_s=40))
    assert ahead.left(0.0, 10 * SECOND_US) == 30.0


def test_a_pause_is_over_before_that():
    ahead = Ahead()
    first = waiting("first", expires_s=90)
    ahead.pause(first, 5.0, 2.0)
    assert ahead.left(5.0, 0) is None
    ahead.add(first)
    assert ahead.left(5.0, 0) == 2.0
    assert ahead.left(7.0, 0) == 90.0
