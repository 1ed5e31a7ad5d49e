"""How long a snapshot holds without control."""

import pytest

from littoral.domain.life import stage_of
from littoral.domain.units import Micros


@pytest.mark.parametrize(
    ("now", "stage"),
    [
        (0, "fresh"),
        (149, "fresh"),
        (150, "half"),
        (189, "half"),
        (190, "late"),
        (199, "late"),
        (200, "ended"),
        (9999, "ended"),
    ],
)
def test_a_life_is_half_over_late_and_ended(now, stage) -> None:
    found = stage_of(Micros(now), issued_us=Micros(100), not_after_us=Micros(200))
    assert found == stage


def test_without_an_end_it_stays_fresh() -> None:
    assert stage_of(Micros(1 << 60), issued_us=Micros(0), not_after_us=None) == "fresh"
