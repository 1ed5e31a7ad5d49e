"""Clock, chance and entropy: time and noise as arguments, for those that need no other port."""

from typing import Protocol

from littoral.domain.units import Micros, Seconds


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> Seconds:
        """Monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> Micros:
        """UTC microseconds, for display, expiry and quota windows only."""
        ...


class Chance(Protocol):
    """Seedable randomness for jitter and exploration; never for secrets."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...


class Entropy(Protocol):
    """Bytes nobody can guess: keys, ids, nonces."""

    def bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""
        ...
