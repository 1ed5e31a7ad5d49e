"""Harm: what a newcomer does to the deadlines of those who are there."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from littoral.placement.decide import TENTH_Z


class Flight(NamedTuple):
    """A request under way: seconds to its deadline, median seconds that it still needs, its spread.

    ``spread`` is p90 divided by p50, above 1.
    """

    left_s: float
    needs_s: float
    spread: float


def slope(flights: Iterable[Flight], *, delay_s: float) -> float:
    """Return how many more deadlines are missed for each second that all flights are held up.

    Taken at ``delay_s``, what a mean newcomer adds, and used as a straight line. Who has missed
    its deadline anyway cannot be harmed.

    Source: the harm term of the score.
    Checked by: tests/unit/placement/test_harm.py.
    """
    if delay_s <= 0.0:
        return 0.0
    more = 0.0
    for left_s, needs_s, spread in flights:
        if left_s > 0.0:
            width, least = math.log(spread), 1e-6
            ends = math.log(left_s)
            soon = (ends - math.log(max(needs_s, least))) / width
            late = (ends - math.log(max(needs_s, least) + delay_s)) / width
            more += (math.erfc(late * TENTH_Z) - math.erfc(soon * TENTH_Z)) / 2.0
    return more / delay_s
