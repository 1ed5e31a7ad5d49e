"""Brown-out: what a project gives up, step by step, before its requests are refused.

The rungs, each only where the project allows it: shorter answers, a smaller model, answers from the
cache even where a new one was wanted, refusal of what is not interactive. Every answer served so
says it in a header.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

Rung: TypeAlias = Literal["shorter", "smaller", "cached", "refuse"]
RUNGS: Final = 4
UP_S: Final = 1.0
DOWN_S: Final = 5.0
"""How long the pressure must be high, or low, before the ladder is climbed or descended a rung."""
HIGH: Final = 1.0
LOW: Final = 0.5
"""Pressure is the predicted wait divided by the tolerated one; between these nothing changes."""


class Ladder:
    """How many rungs are in force, 0 to ``RUNGS``; up fast, down slowly, one at a time."""

    __slots__ = ("_since", "_way", "rung")

    def __init__(self) -> None:
        self.rung = 0
        self._way = 0
        self._since = 0.0

    def saw(self, pressure: float, now: float) -> None:
        """Learn the present pressure; about ten times a second.

        Args:
            pressure: Predicted wait divided by the tolerated one.
            now: Monotonic seconds.
        """
        way = 1 if pressure > HIGH else -1 if pressure < LOW else 0
        if way != self._way:
            self._way, self._since = way, now
        pause = UP_S if way > 0 else DOWN_S
        if way and now - self._since >= pause and 0 <= self.rung + way <= RUNGS:
            self.rung += way
            self._since = now


class Steps(NamedTuple):
    """What a project allows: the cap on answers in tokens, the smaller model's name, the cache."""

    shorter: int | None = None
    smaller: str | None = None
    cached: bool = False
    refuse: bool = False


class Measures(NamedTuple):
    """What is done to one request."""

    cap: int | None = None
    model: str | None = None
    stale: bool = False
    refused: bool = False


NOTHING: Final = Measures()


def measures(rung: int, steps: Steps, *, is_interactive: bool) -> Measures:
    """Say what a ladder at ``rung`` does to a request of a project with these steps.

    The rungs count whether a project uses them or not, so projects give up the same thing at the
    same pressure.
    """
    if not rung:
        return NOTHING
    return Measures(
        cap=steps.shorter,
        model=steps.smaller if rung >= 2 else None,
        stale=steps.cached and rung >= 3,
        refused=steps.refuse and rung >= RUNGS and not is_interactive,
    )


def named(done: Measures) -> tuple[Rung, ...]:
    """The rungs that a request met, for its answer's header."""
    met: tuple[tuple[Rung, bool], ...] = (
        ("shorter", done.cap is not None),
        ("smaller", done.model is not None),
        ("cached", done.stale),
        ("refuse", done.refused),
    )
    return tuple(rung for rung, is_met in met if is_met)
