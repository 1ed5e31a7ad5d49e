"""What a machine suffers from: said once, over once, and never with every flap of a sensor."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from littoral.domain.ailment import CALM_S, Ailments, judge
from littoral.domain.node import Reading
from littoral.domain.units import Seconds

EVERY = 10.0


class Machine:
    """Readings, ten seconds apart, and what was said of them."""

    def __init__(self) -> None:
        self.ailments = Ailments()
        self.now = 0.0
        self.said: list[tuple[str, str]] = []

    def read(self, times: int = 1, **figures) -> list[str]:
        """The codes that these readings brought."""
        before = len(self.said)
        for _ in range(times):
            self.now += EVERY
            reading = Reading(**figures)
            self.ailments, remarks = judge(self.ailments, reading, now=Seconds(self.now))
            self.said += [(each.code, each.level) for each in remarks]
        return [code for code, _ in self.said[before:]]


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_machine_without_sensors_says_nothing(machine) -> None:
    assert machine.read(100) == []
    assert machine.ailments.troubles == {}


@pytest.mark.parametrize(
    ("bad", "good", "begins", "ends"),
    [
        ({"margin_c": 0.0}, {"margin_c": 5.0}, "thermal_hot", "thermal_cool"),
        ({"cooling": True}, {"cooling": False}, "thermal_throttled", "thermal_free"),
        ({"memory_waits": 20.0}, {"memory_waits": 5.0}, "memory_pressed", "memory_eased"),
        ({"disk_used": 0.90}, {"disk_used": 0.85}, "disk_low", "disk_eased"),
        ({"read_only": True}, {"read_only": False}, "disk_read_only", "disk_writable"),
    ],
)
def test_an_ailment_is_told_when_it_begins_and_a_calm_minute_after_it_ended(
    machine, bad, good, begins, ends
) -> None:
    assert machine.read(50, **bad) == [begins]
    assert len(machine.ailments.troubles) == 1
    assert machine.read(int(CALM_S / EVERY), **good) == []
    assert machine.read(1, **good) == [ends]
    assert machine.ailments.troubles == {}


def test_between_its_bounds_an_ailment_goes_on(machine) -> None:
    assert machine.read(1, disk_used=0.91) == ["disk_low"]
    assert machine.read(500, disk_used=0.87) == []
    machine.read(6, disk_used=0.80)
    machine.read(1, disk_used=0.87)
    assert machine.read(6, disk_used=0.80) == []
    assert machine.read(1, disk_used=0.80) == ["disk_eased"]


def test_a_disk_that_is_all_but_full_is_an_error_of_its_own(machine) -> None:
    assert machine.read(1, disk_used=0.97) == ["disk_low", "disk_full"]
    assert machine.said[1] == ("disk_full", "error")
    assert machine.read(7, disk_used=0.92) == ["disk_relieved"]


def test_a_processor_that_was_slowed_down_between_two_looks_is_told(machine) -> None:
    assert machine.read(3, throttles=7) == []
    assert machine.read(1, throttles=9) == ["thermal_throttled"]
    assert machine.read(7, throttles=9) == ["thermal_free"]


def test_each_rise_of_a_counter_is_told_and_one_that_was_set_back_is_not(machine) -> None:
    machine.read(1, kills=3, io_errors=0)
    assert machine.read(1, kills=4, io_errors=2) == ["memory_killed", "disk_error"]
    assert machine.read(3, kills=0, io_errors=0) == []
    assert machine.read(1, kills=1, io_errors=0) == ["memory_killed"]
    assert machine.read(1) == []
    assert machine.read(1, kills=9, io_errors=9) == []


@given(some.lists(some.floats(-50, 50), max_size=300))
def test_however_a_sensor_flaps_an_ailment_ends_at_most_once_a_calm_minute(
    margins,
) -> None:
    machine = Machine()
    for margin in margins:
        machine.read(1, margin_c=margin)
    ends = [code for code, _ in machine.said if code == "thermal_cool"]
    assert len(ends) <= len(margins) * EVERY / CALM_S
    assert 0 <= len(machine.said) - 2 * len(ends) <= 1
