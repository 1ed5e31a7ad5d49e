"""Redial: why a session failed, when to try again, and what is said of it meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.link import SPREAD_S
from littoral.domain.pipe import PipeClosed
from littoral.domain.ports import Chance, Channel, Clock, Shed
from littoral.domain.units import Seconds
from littoral.node.backoff import delay
from littoral.node.board import Board

STEADY: Final = Seconds(60.0)
"""A session that lived so long begins the waits anew."""
LOOK_EVERY: Final = Seconds(5.0)
"""How often it is looked whether the link still carries the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Waits between tries: the first within ``first_s``, later ones within twice as long each.

    None is longer than ``longest_s``. After having been turned away the wait is any within what
    the listener asked for, where ``yields``.
    """

    first_s: Seconds
    longest_s: Seconds
    yields: bool


NEAR: Final = Pace(first_s=Seconds(0.5), longest_s=Seconds(5.0), yields=False)
"""To control on the same host."""
FAR: Final = Pace(first_s=Seconds(5.0), longest_s=Seconds(60.0), yields=True)
"""To control elsewhere, together with a thousand others."""


class Redial:
    """Waits of one node.

    Args:
        pace: How long.
        chance: Jitter, so that many who failed together do not come back together.
    """

    def __init__(self, pace: Pace, chance: Chance) -> None:
        self._pace = pace
        self._chance = chance
        self._streak = 0
        self.spread_s = SPREAD_S

    def after(self, lived_s: float, *, shed: bool, longest_s: Seconds) -> Seconds:
        """How long to wait after a session that lived so long.

        Args:
            lived_s: From dialling to its end.
            shed: Whether it was turned away, and asked to come back within the spread.
            longest_s: No wait is longer than this, nor than the pace allows.
        """
        self._streak = 0 if lived_s >= STEADY else self._streak + 1
        if shed and self._pace.yields:
            return Seconds(self.spread_s * self._chance.random())
        longest = min(self._pace.longest_s, longest_s)
        if self._streak <= 1:
            return Seconds(min(self._pace.first_s, longest) * self._chance.random())
        return delay(self._streak - 2, cap_s=longest, chance=self._chance)


def causes(failure: BaseException) -> Iterator[BaseException]:
    """Every single failure of a group."""
    if isinstance(failure, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", failure)
        for each in group.exceptions:
            yield from causes(each)
    else:
        yield failure


def why(failure: BaseException | None) -> str:
    """What went wrong, for people; the first cause speaks."""
    first = None if failure is None else next(causes(failure), None)
    if first is None:
        return "the session ended"
    if isinstance(first, TimeoutError):
        return "control does not answer"
    return first.message if isinstance(first, LittoralError) else str(first)


def code_of(failure: BaseException | None) -> str:
    """The reason that the other end gave for the end of a session; empty where it gave none."""
    found = () if failure is None else causes(failure)
    return next((each.reason for each in found if isinstance(each, PipeClosed)), "")


def is_shed(failure: BaseException | None) -> bool:
    """Whether control turned us away because it has too much to do."""
    return failure is not None and any(isinstance(each, Shed) for each in causes(failure))


def back_after(gone: Seconds | None, now: Seconds) -> str:
    """That control is connected, and for how long it was not (None: it never was, in this run)."""
    if gone is None:
        return "control is connected"
    return f"control is connected again after {now - gone:.0f} s"


async def watch(
    channel: Channel,
    board: Board,
    clock: Clock,
    *,
    suspect_s: Seconds,
    look_s: Seconds = LOOK_EVERY,
    turned: Callable[[], None] = lambda: None,
) -> None:
    """Tell people when a session has no connection, and why, until cancelled.

    Args:
        channel: The session.
        board: Where it is told.
        clock: Times how long there was none.
        suspect_s: The longest silence that is none yet: as long as this site's beats allow.
        look_s: How often it is looked at.
        turned: Is called when control can be reached no longer, or again.
    """
    said, gone = "", None
    while (facts := channel.link()) is not None:
        trouble = facts.trouble
        if not trouble and facts.silent_s > suspect_s:
            trouble = f"nothing was heard of control for {facts.silent_s:.0f} s"
        if bool(trouble) != bool(said):
            board.cut_off("control does not answer" if trouble else "")
            if trouble:
                gone = Seconds(clock.now() - facts.silent_s)
                board.say("session", "session_interrupted", trouble, level="warning")
            else:
                board.say("session", "session_resumed", back_after(gone, clock.now()))
            turned()
        said = trouble
        await anyio.sleep(look_s)
