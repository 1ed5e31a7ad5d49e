"""Pace: how fast, and when, artefacts may come down a line that serves people too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from littoral.domain.site import Bandwidth
from littoral.domain.units import Bytes, Seconds

SHARE: Final = 0.75
"""Part of what the line was seen to carry that a download may take, where it is held back."""
NEAR: Final = 0.9
"""A line that carried this part of the cap was held back by the cap."""
BURST_S: Final = Seconds(0.5)
"""How much may come at once, as time at the rate."""
SPELL_S: Final = Seconds(2.0)
"""How long a line is looked at for one figure of what it carries."""
EVERY_S: Final = Seconds(60.0)
"""How often a held-back download may show again what the line carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Part of a day, in minutes of the site's own time, in which artefacts may come.

    ``end`` may lie before ``begin``: then it spans midnight.
    """

    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PacePolicy:
    """What a site allows: bytes a second (None: no cap), and windows (none: always)."""

    bytes_s: int | None = None
    windows: tuple[Window, ...] = ()


def pace_of(bandwidth: Bandwidth) -> PacePolicy:
    """What a site's declared bandwidth allows."""
    begin, end = bandwidth.from_hour, bandwidth.to_hour
    windows = (Window(begin=60 * begin, end=60 * end),) if begin != end else ()
    return PacePolicy(bytes_s=bandwidth.kbit_s * 125 or None, windows=windows)


ALWAYS = PacePolicy()
"""No cap, at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is known of a line: the best figure seen, and the look that is under way."""

    carries: float = 0.0
    looked: Seconds = Seconds(0.0)
    began: Seconds | None = None
    seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket: ``room`` bytes may come at ``at``; less than none is a debt."""

    room: float
    at: Seconds


def is_open(windows: Sequence[Window], *, minute: int) -> bool:
    """Whether artefacts may come now.

    Args:
        windows: Of the site; none means always.
        minute: Of the day, in the site's own time.
    """
    return not windows or any(_holds(window, minute) for window in windows)


def _holds(window: Window, minute: int) -> bool:
    if window.begin < window.end:
        return window.begin <= minute < window.end
    return minute >= window.begin or minute < window.end


def rate_of(policy: PacePolicy, line: Line, *, now: Seconds) -> float | None:
    """Bytes a second that may come now: min(configured, 0.75 x what the line carries).

    None without a cap. While the line is looked at, the configured cap alone counts; so it does
    where the line carried as much as the cap let through, as it may well carry more.
    """
    if policy.bytes_s is None:
        return None
    known = line.carries and not is_looking(line, now=now)
    if not known or line.carries >= NEAR * policy.bytes_s:
        return float(policy.bytes_s)
    return SHARE * line.carries


def take(bucket: Bucket, count: int, *, rate: float, now: Seconds) -> tuple[Bucket, Seconds]:
    """Take bytes that came, and say how long to wait before reading on."""
    room = min(rate * BURST_S, bucket.room + rate * max(0.0, now - bucket.at)) - count
    return Bucket(room=room, at=now), Seconds(max(0.0, -room / rate))


def is_looking(line: Line, *, now: Seconds) -> bool:
    """Whether bytes shall come unhindered now, to see what the line carries."""
    if line.began is not None:
        return now - line.began < SPELL_S
    return not line.carries or now - line.looked >= EVERY_S


def look(line: Line, count: Bytes, *, now: Seconds) -> Line:
    """Take bytes that came while the line is looked at; after a spell they are the new figure."""
    if line.began is None:
        return replace(line, began=now, seen=0)
    seen, took = line.seen + count, now - line.began
    if took < SPELL_S:
        return replace(line, seen=seen)
    return Line(carries=seen / took, looked=now)
