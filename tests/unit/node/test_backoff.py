"""Waiting before trying again."""

from hypothesis import given
from hypothesis import strategies as st

from littoral.node.backoff import delay
from littoral.testing.chance import SeededChance


class Always:
    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


@given(st.integers(0, 10_000), st.floats(0, 100), st.floats(0, 100))
def test_a_wait_is_never_negative_nor_over_its_cap(attempt, first_s, cap_s) -> None:
    wait = delay(attempt, first_s=first_s, cap_s=cap_s, chance=SeededChance(attempt))
    assert 0 <= wait <= cap_s


def test_the_bound_doubles_up_to_the_cap() -> None:
    bounds = [delay(attempt, cap_s=10.0, chance=Always(1.0)) for attempt in range(6)]
    assert bounds == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_wait_is_drawn_from_the_whole_range() -> None:
    assert delay(3, chance=Always(0.0)) == 0.0
