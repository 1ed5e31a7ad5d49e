"""First tokens that deviate from what the whole does."""

import math

import pytest

from littoral.cost.lean import LEVEL, Lean, factors, leaned


def taught(first, *, share=0.4, count=3000):
    lean = LEVEL
    for at in range(count):
        lean = leaned(lean, at, first=first(at), share=share)
    return lean


def test_the_median_and_the_ninetieth_percentile_are_found():
    lean = taught(lambda at: 0.2 + 0.01 * (at * 37 % 100 - 50))
    assert lean.middle == pytest.approx(0.2, abs=0.06)
    assert lean.high == pytest.approx(0.6, abs=0.06)
    assert lean.width == pytest.approx(0.4, abs=0.1)
    assert lean.share == pytest.approx(0.4, abs=0.01)


def test_what_the_reading_takes_more_the_writing_takes_less():
    read, write = factors(Lean(middle=math.log(1.2), share=0.5))
    assert (read, write) == (pytest.approx(1.2), pytest.approx(0.8))
    assert factors(LEVEL) == (1.0, 1.0)


def test_something_is_left_of_the_writing():
    assert factors(Lean(middle=1.0, share=0.9))[1] == 0.25
    assert factors(Lean(middle=0.5, share=1.0))[1] == 0.25


@pytest.mark.parametrize("off", [-9.0, 9.0])
def test_no_median_runs_away(off):
    lean = taught(lambda _: off)
    assert abs(lean.middle) <= 1.0
    assert -1.0 <= lean.high <= 2.0
    assert lean.width >= 0.02
