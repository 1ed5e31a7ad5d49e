"""A clock that stands until it is moved."""

from littoral.domain.units import Micros, Seconds

START = Micros(1_800_000_000_000_000)


class SettableClock:
    """Twin of ``Clock``: time passes only by ``advance``."""

    def __init__(self, *, now: Seconds = Seconds(0.0), wall: Micros = START) -> None:
        self._now = now
        self._wall = wall

    def now(self) -> Seconds:
        """Monotonic seconds."""
        return self._now

    def wall(self) -> Micros:
        """UTC microseconds."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass, on both scales.

        Raises:
            ValueError: ``seconds`` is negative; monotonic time never goes back.
        """
        if seconds < 0:
            raise ValueError(f"monotonic time cannot go back by {seconds!r} s")
        self._now = Seconds(self._now + seconds)
        self._wall = Micros(self._wall + round(seconds * 1_000_000))

    def set_wall(self, wall: Micros) -> None:
        """Step the wall clock, as an operator or NTP may do; monotonic time goes on."""
        self._wall = wall
