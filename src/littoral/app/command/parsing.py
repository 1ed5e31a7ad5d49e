"""What people type: durations, moments, options."""

import re
from datetime import UTC, datetime

from littoral.domain.deployment import Option
from littoral.domain.errors import InvalidInput
from littoral.domain.units import Micros, Seconds

UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
DURATION = re.compile(r"(\d{1,9})([smhdw])")
TRUTH = {"true": True, "false": False}


def duration(text: str, *, what: str) -> Seconds:
    """Read ``90s``, ``30m``, ``12h``, ``30d`` or ``2w``.

    Args:
        text: As typed.
        what: The option it stands for, for the message.

    Raises:
        InvalidInput: Anything else.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            f"{what}: {text!r} is no duration; write a number and s, m, h, d or w, such as 30d"
        )
    return Seconds(float(int(match[1]) * UNIT_S[match[2]]))


def whole_days(text: str, *, what: str) -> int:
    """Read a duration that must be whole days.

    Raises:
        InvalidInput: No duration, or not a whole number of days from 1.
    """
    days, rest = divmod(int(duration(text, what=what)), UNIT_S["d"])
    if rest or days < 1:
        raise InvalidInput(f"{what}: {text!r} is not a whole number of days, such as 30d or 2w")
    return days


def moment(text: str, *, now: Micros, what: str) -> Micros:
    """Read a moment: a duration before now, a date, or an ISO time (UTC unless it says more).

    Args:
        text: ``7d``, ``2026-11-01`` or ``2026-11-01T08:00:00+08:00``.
        now: The present moment, UTC.
        what: The option it stands for, for the message.

    Raises:
        InvalidInput: None of these.
    """
    if DURATION.fullmatch(text.strip()):
        return Micros(now - int(duration(text, what=what) * 1_000_000))
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            f"{what}: {text!r} is no moment; write 7d (that long ago), 2026-11-01 or "
            "2026-11-01T08:00:00"
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return Micros(round(at.timestamp() * 1_000_000))


def option(text: str) -> tuple[str, Option]:
    """Read ``name=value``; the value becomes a truth value or a number where it looks like one.

    Raises:
        InvalidInput: There is no ``=`` or no name before it.
    """
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        raise InvalidInput(f"--option {text!r} must be name=value, such as --option threads=4")
    return name.strip(), _value(value.strip())


def _value(text: str) -> Option:
    if text in TRUTH:
        return TRUTH[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def words(text: str) -> tuple[str, ...]:
    """Split a list typed with commas, blanks dropped."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
