import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.wait import wait

WORKS = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=8)


def test_a_free_slot_means_no_wait():
    assert wait((), (), stretch=2.0) == 0.0


def test_the_first_who_is_done_makes_room():
    assert wait((3.0, 1.0, 2.0), (), stretch=1.0) == 1.0
    assert wait((3.0, 1.0, 2.0), (), stretch=1.5) == 1.5


def test_those_in_line_go_first():
    assert wait((3.0, 1.0), (1.5,), stretch=1.0) == 2.5
    assert wait((3.0, 1.0), (1.5, 10.0), stretch=1.0) == 3.0


@given(WORKS, st.lists(st.floats(0.01, 10.0), max_size=8), st.floats(0.01, 10.0))
def test_one_more_in_line_never_shortens_it(remaining, queued, more):
    assert wait(remaining, [*queued, more], stretch=1.0) >= wait(remaining, queued, stretch=1.0)


@given(WORKS, st.lists(st.floats(0.01, 10.0), max_size=8), st.floats(0.1, 10.0))
def test_scaling_every_work_scales_the_wait(remaining, queued, factor):
    scaled = wait([w * factor for w in remaining], [w * factor for w in queued], stretch=1.0)
    assert scaled == pytest.approx(wait(remaining, queued, stretch=1.0) * factor)
