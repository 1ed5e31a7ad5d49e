"""One suite for Clock, Chance and Entropy, on the system's and on their twins."""

import pytest

from littoral.app.system import SystemChance, SystemClock, SystemEntropy
from littoral.domain.ports import Chance, Clock, Entropy
from littoral.domain.units import Micros
from littoral.testing.chance import SeededChance
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy

CLOCKS = [SystemClock(), SettableClock()]


@pytest.mark.parametrize("clock", CLOCKS)
def test_monotonic_time_never_goes_back(clock: Clock):
    seen = [clock.now() for _ in range(100)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("clock", CLOCKS)
def test_wall_time_is_microseconds_of_this_century(clock: Clock):
    assert isinstance(clock.wall(), int)
    assert 1_700_000_000_000_000 < clock.wall() < 4_000_000_000_000_000


def test_the_twin_stands_until_it_is_moved():
    clock = SettableClock()
    before = clock.now(), clock.wall()
    assert (clock.now(), clock.wall()) == before
    clock.advance(1.5)
    assert (clock.now(), clock.wall()) == (before[0] + 1.5, before[1] + 1_500_000)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_a_step_of_the_wall_leaves_monotonic_time():
    clock = SettableClock()
    before = clock.now()
    clock.set_wall(Micros(5))
    assert (clock.wall(), clock.now()) == (5, before)


@pytest.mark.parametrize("chance", [SystemChance(), SeededChance(3)])
def test_chance_is_a_float_below_one(chance: Chance):
    drawn = [chance.random() for _ in range(1000)]
    assert all(0 <= value < 1 for value in drawn)
    assert len(set(drawn)) > 900


def test_the_same_seed_gives_the_same_chance():
    one, two, other = SeededChance(1), SeededChance(1), SeededChance(2)
    assert [one.random() for _ in range(5)] == [two.random() for _ in range(5)]
    assert SeededChance(1).random() != other.random()


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy()])
def test_entropy_has_the_length_asked_for_and_does_not_repeat(entropy: Entropy):
    assert [len(entropy.bytes(count)) for count in (0, 1, 10, 32, 1000)] == [0, 1, 10, 32, 1000]
    assert entropy.bytes(16) != entropy.bytes(16)


def test_the_same_seed_gives_the_same_entropy():
    assert SeededEntropy(1).bytes(8) == SeededEntropy(1).bytes(8) != SeededEntropy(2).bytes(8)
