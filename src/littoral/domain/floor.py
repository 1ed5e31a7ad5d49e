"""Floor: what a node may believe of the time when its clock may be wrong.

The floor is a time that has certainly passed: what control said, or when the snapshot was issued.
It moves on with the monotonic clock. The system's clock is believed while it is above the floor,
agrees with control, and does not jump.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from littoral.domain.units import HOUR_US, SECOND_US, Micros, Seconds

LEAST_US: Final = Micros(1_793_491_200_000_000)
"""1 November 2026: no clock that is right is below it."""
APART_US: Final = 2 * SECOND_US
"""So far may the system's clock be from control's."""
JUMP_US: Final = HOUR_US
"""A jump ahead that nothing expires by at once."""
HOLD_S: Final = Seconds(600.0)
"""How long a jump ahead is not believed, unless control confirms it."""
BOOT_US: Final = HOUR_US
"""What a start with a wrong clock and without control adds to the floor: time off counts too."""

Doubt: TypeAlias = Literal["", "behind", "apart", "jumped"]
"""Why the system's clock is not believed: below the floor, not as control's, just jumped ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What is known: ``base_us`` had passed when the monotonic clock said ``at``.

    ``offset_us`` is from monotonic to wall time, as last believed; ``slack_us`` is by how much more
    than ``APART_US`` that may be wrong; ``met`` is whether control has told the time since the
    start; ``jumped`` when the clock jumped, until that is settled.
    """

    base_us: Micros
    at: Seconds
    offset_us: int
    doubt: Doubt = ""
    met: bool = False
    jumped: Seconds | None = None
    slack_us: int = 0

    def least(self, now: Seconds) -> Micros:
        """The floor at a monotonic time."""
        return Micros(self.base_us + max(0, us(now) - us(self.at)))


def begin(known_us: Micros, *, system_us: Micros, now: Seconds) -> Floor:
    """Start with what is known.

    Args:
        known_us: The latest time that has certainly passed.
        system_us: What the system's clock says.
        now: What the monotonic clock says.

    Checked by: tests/unit/domain/test_floor.py.
    """
    base = max(known_us, LEAST_US)
    if system_us < base - APART_US:
        base = Micros(base + BOOT_US)
        return Floor(base_us=base, at=now, offset_us=base - us(now), doubt="behind")
    return Floor(base_us=base, at=now, offset_us=system_us - us(now))


def look(floor: Floor, *, system_us: Micros, now: Seconds) -> tuple[Floor, Micros]:
    """Say what time it is, and what is known after this look.

    Checked by: tests/unit/domain/test_floor.py.
    """
    believed = Micros(floor.offset_us + us(now))
    ahead = system_us - believed
    if floor.met:
        doubt: Doubt = "apart" if abs(ahead) > APART_US + floor.slack_us else ""
        return _settled(floor, doubt, system_us=system_us, believed=believed, now=now)
    if system_us < floor.least(now) - APART_US:
        return _settled(floor, "behind", system_us=system_us, believed=floor.least(now), now=now)
    if ahead > JUMP_US and floor.doubt != "behind":
        since = now if floor.jumped is None else floor.jumped
        if now - since < HOLD_S:
            held, wall = _settled(floor, "jumped", system_us=system_us, believed=believed, now=now)
            return replace(held, jumped=since), wall
    return _settled(floor, "", system_us=system_us, believed=believed, now=now)


def raised(floor: Floor, known_us: Micros, *, system_us: Micros, now: Seconds) -> Floor:
    """A time that has certainly passed, such as when a snapshot was issued.

    Checked by: tests/unit/domain/test_floor.py.
    """
    if known_us <= floor.least(now):
        return floor
    if floor.met:
        return replace(floor, base_us=known_us, at=now)
    return begin(known_us, system_us=system_us, now=now)


def meet(floor: Floor, *, server_us: Micros, now: Seconds, took_s: Seconds = Seconds(0.0)) -> Floor:
    """Control said what time it is: that is the floor now, even where the old one was higher.

    On a slow line its word is old when it comes. Half of what it took at most is added; what was
    believed stays where it is among all that is possible.

    Args:
        floor: What was known.
        server_us: What control said.
        now: What the monotonic clock says.
        took_s: How long ago that may be.

    Checked by: tests/unit/domain/test_floor.py.
    """
    slack_us = us(took_s) // 2
    believed = floor.offset_us + us(now)
    if not (floor.met and server_us <= believed <= server_us + 2 * slack_us):
        believed = server_us + slack_us
    return replace(
        floor,
        base_us=server_us,
        at=now,
        offset_us=believed - us(now),
        met=True,
        jumped=None,
        slack_us=slack_us,
    )


def _settled(
    floor: Floor, doubt: Doubt, *, system_us: Micros, believed: Micros, now: Seconds
) -> tuple[Floor, Micros]:
    wall = Micros(max(believed if doubt else system_us, floor.least(now)))
    offset_us = wall - us(now)
    slack_us = floor.slack_us if doubt else 0
    found = replace(floor, doubt=doubt, jumped=None, offset_us=offset_us, slack_us=slack_us)
    return (floor if found == floor else found), wall


def us(seconds: Seconds) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * SECOND_US)
