import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.placement.harm import Flight, slope

FLIGHTS = st.lists(
    st.builds(Flight, st.floats(-1.0, 10.0), st.floats(0.0, 10.0), st.floats(1.02, 20.0)),
    max_size=6,
)


def test_nobody_there_or_no_delay_means_no_harm():
    assert slope((), delay_s=1.0) == 0.0
    assert slope([Flight(1.0, 1.0, 1.5)], delay_s=0.0) == 0.0


def test_who_is_late_already_cannot_be_harmed():
    assert slope([Flight(-0.1, 1.0, 1.5)], delay_s=1.0) == 0.0


def test_who_would_just_make_it_is_harmed_most():
    near = slope([Flight(1.1, 1.0, 1.2)], delay_s=0.5)
    assert near > slope([Flight(100.0, 1.0, 1.2)], delay_s=0.5)
    assert near == pytest.approx(1.38, abs=0.3)


@given(FLIGHTS, st.floats(0.01, 5.0))
def test_harm_is_never_negative_and_adds_up(flights, delay):
    alone = sum(slope([flight], delay_s=delay) for flight in flights)
    assert slope(flights, delay_s=delay) == pytest.approx(alone)
    assert 0.0 <= slope(flights, delay_s=delay) <= len(flights) / delay + 1e-9
