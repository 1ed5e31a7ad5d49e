"""What a node believes of the time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.domain.floor import (
    APART_US,
    BOOT_US,
    HOLD_S,
    JUMP_US,
    LEAST_US,
    Floor,
    begin,
    look,
    meet,
    raised,
)
from littoral.domain.units import Micros, Seconds

NOW = Micros(1_800_000_000_000_000)
HOUR_US = 3_600_000_000
unhurried = settings(max_examples=200, deadline=None)
steps = st.lists(
    st.tuples(
        st.sampled_from(["pass", "set", "meet", "raise"]), st.integers(-10 * HOUR_US, 10 * HOUR_US)
    ),
    max_size=25,
)


class Machine:
    """A system clock that anybody may set, true time, and the node's view of both."""

    def __init__(self, system_us: int = NOW, known_us: int = NOW) -> None:
        self.now = 50.0
        self.system_us = system_us
        self.true_us = NOW
        self.floor = begin(Micros(known_us), system_us=Micros(system_us), now=Seconds(self.now))

    def go(self, seconds: float) -> None:
        self.now += seconds
        self.system_us += round(seconds * 1e6)
        self.true_us += round(seconds * 1e6)

    def wall(self) -> int:
        self.floor, wall = look(self.floor, system_us=Micros(self.system_us), now=Seconds(self.now))
        return wall

    def meet(self) -> None:
        self.floor = meet(self.floor, server_us=Micros(self.true_us), now=Seconds(self.now))

    @property
    def least(self) -> int:
        return self.floor.least(Seconds(self.now))


@given(steps)
@unhurried
def test_the_time_never_falls_below_the_floor_and_the_floor_never_stands_still(acts) -> None:
    machine = Machine()
    for act, size in acts:
        before, at = machine.floor, machine.now
        match act:
            case "pass":
                machine.go(abs(size) / 1e6)
                assert machine.least - before.least(Seconds(at)) >= abs(size) - 2
            case "set":
                machine.system_us = NOW + size
            case "raise":
                known = Micros(NOW + size)
                machine.floor = raised(
                    machine.floor,
                    known,
                    system_us=Micros(machine.system_us),
                    now=Seconds(machine.now),
                )
                assert machine.least >= known
            case _:
                machine.meet()
        assert machine.wall() >= machine.least


@given(steps)
@unhurried
def test_once_control_was_met_the_time_is_controls(acts) -> None:
    machine = Machine()
    machine.meet()
    for act, size in acts:
        if act == "pass":
            machine.go(abs(size) / 1e6)
        elif act == "set":
            machine.system_us = NOW + size
        elif act == "meet":
            machine.meet()
        assert abs(machine.wall() - machine.true_us) <= len(acts) * APART_US
        if not machine.floor.doubt:
            assert machine.wall() >= machine.true_us - len(acts) * APART_US


def test_a_clock_that_is_right_is_believed() -> None:
    machine = Machine()
    assert machine.wall() == NOW
    machine.go(1000)
    assert machine.wall() == machine.system_us
    assert machine.floor.doubt == ""


def test_a_clock_that_begins_in_1970_is_counted_up_from_the_floor() -> None:
    machine = Machine(system_us=0)
    assert machine.floor.doubt == "behind"
    assert machine.wall() == NOW + BOOT_US
    machine.go(60)
    assert machine.wall() == NOW + BOOT_US + 60_000_000


@given(st.integers(1, 40))
@unhurried
def test_each_start_with_a_wrong_clock_costs_an_hour(starts) -> None:
    known = NOW
    for _ in range(starts):
        machine = Machine(system_us=0, known_us=known)
        machine.go(10)
        known = Micros(machine.least)
    assert known == NOW + starts * (BOOT_US + 10_000_000)


def test_without_any_knowledge_a_clock_before_this_build_is_wrong() -> None:
    assert Machine(system_us=LEAST_US - HOUR_US, known_us=0).floor.doubt == "behind"


def test_control_puts_a_wrong_clock_right_and_a_floor_that_was_too_high() -> None:
    machine = Machine(system_us=0)
    machine.meet()
    assert machine.wall() == machine.true_us
    assert machine.floor.doubt == "apart"
    machine.system_us = machine.true_us + 1000
    assert machine.wall() == machine.system_us
    assert machine.floor.doubt == ""


def test_a_clock_set_back_later_is_not_believed_below_the_floor() -> None:
    machine = Machine()
    machine.go(5000)
    machine.system_us -= 2 * HOUR_US
    assert machine.wall() == NOW + 5_000_000_000
    assert machine.floor.doubt == "behind"
    machine.system_us += 2 * HOUR_US
    assert machine.wall() == machine.system_us
    assert machine.floor.doubt == ""


def test_a_jump_ahead_is_believed_after_ten_minutes() -> None:
    machine = Machine()
    machine.wall()
    machine.system_us += 5 * JUMP_US
    assert machine.wall() == NOW
    assert machine.floor.doubt == "jumped"
    machine.go(HOLD_S - 1)
    assert machine.wall() == machine.true_us
    machine.go(1)
    assert machine.wall() == machine.system_us
    assert machine.floor.doubt == ""


def test_a_jump_that_is_taken_back_in_time_never_happened() -> None:
    machine = Machine()
    machine.system_us += 5 * JUMP_US
    machine.wall()
    machine.go(60)
    machine.system_us -= 5 * JUMP_US
    assert machine.wall() == machine.system_us
    machine.system_us += 5 * JUMP_US
    machine.go(HOLD_S - 1)
    assert machine.wall() == machine.true_us


def test_a_jump_that_control_confirms_is_believed_at_once() -> None:
    machine = Machine()
    machine.system_us = machine.true_us = NOW + 5 * JUMP_US
    assert machine.wall() == NOW
    machine.meet()
    assert machine.wall() == machine.system_us
    assert machine.floor.doubt == ""


def test_a_small_step_ahead_is_believed() -> None:
    machine = Machine()
    machine.system_us += JUMP_US
    assert machine.wall() == machine.system_us


def test_what_is_known_already_changes_nothing() -> None:
    floor = begin(NOW, system_us=NOW, now=Seconds(1.0))
    assert raised(floor, NOW, system_us=NOW, now=Seconds(2.0)) is floor
    met = meet(floor, server_us=NOW, now=Seconds(2.0))
    later = raised(met, Micros(NOW + HOUR_US), system_us=NOW, now=Seconds(2.0))
    assert isinstance(later, Floor)
    assert later.met
    assert later.least(Seconds(2.0)) == NOW + HOUR_US


def slow(machine: Machine, took_s: float, late_s: float) -> None:
    """Control's word comes after ``late_s`` of at most ``took_s`` seconds."""
    said = Micros(machine.true_us - round(late_s * 1e6))
    machine.floor = meet(
        machine.floor, server_us=said, now=Seconds(machine.now), took_s=Seconds(took_s)
    )


@given(took_s=st.floats(0, 60), part=st.floats(0, 1))
def test_a_slow_line_makes_no_right_clock_suspect(took_s, part) -> None:
    machine = Machine()
    slow(machine, took_s, took_s * part)
    assert machine.wall() == machine.true_us
    assert machine.floor.doubt == ""


@given(took_s=st.floats(0, 60), part=st.floats(0, 1))
def test_a_wrong_clock_is_put_right_within_half_of_what_the_word_took(took_s, part) -> None:
    machine = Machine(system_us=NOW + 24 * HOUR_US)
    slow(machine, took_s, took_s * part)
    error = abs(machine.wall() - machine.true_us)
    assert machine.floor.doubt == "apart"
    assert error <= took_s * 5e5 + 2
    machine.go(5.0)
    better = machine.wall() - machine.true_us
    slow(machine, 60.0, 30.0)
    assert machine.wall() - machine.true_us == better


def test_a_clock_that_was_believed_over_a_slow_line_is_measured_strictly_from_then_on() -> None:
    machine = Machine()
    slow(machine, 20.0, 20.0)
    assert machine.wall() == machine.true_us
    machine.go(5.0)
    machine.system_us += 3_000_000
    assert machine.wall() == machine.true_us
    assert machine.floor.doubt == "apart"
