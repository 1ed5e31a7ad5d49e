"""Ailment: what a machine suffers from, judged from its readings, with hysteresis.

An ailment begins when a reading reaches its upper bound, and ends when readings were below the
lower one for a while: a sensor that flaps around either says nothing new. What only counts up
(processes killed, I/O errors) is told for each rise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from littoral.domain.node import Level, Reading
from littoral.domain.units import Seconds

CALM_S: Final = Seconds(60.0)
"""How long readings must stay below the lower bound until an ailment is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to tell people, once."""

    subject: str
    code: str
    message: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Bounds and words of one ailment."""

    subject: str
    high: float
    low: float
    level: Level
    begins: str
    ends: str
    said: str
    over: str


_RULES: Final[Mapping[str, _Rule]] = MappingProxyType(
    {
        "hot": _Rule(
            subject="thermal",
            high=0.0,
            low=-5.0,
            level="warning",
            begins="thermal_hot",
            ends="thermal_cool",
            said="the machine is as hot as it may get; expect it to slow down",
            over="the machine is 5 degrees or more below its bound again",
        ),
        "throttled": _Rule(
            subject="thermal",
            high=1.0,
            low=0.5,
            level="warning",
            begins="thermal_throttled",
            ends="thermal_free",
            said="the processor is slowed down because of its heat",
            over="the processor is no longer slowed down",
        ),
        "memory": _Rule(
            subject="memory",
            high=20.0,
            low=5.0,
            level="warning",
            begins="memory_pressed",
            ends="memory_eased",
            said="work waits for memory for a fifth of the time or more",
            over="work hardly waits for memory any more",
        ),
        "disk": _Rule(
            subject="disk",
            high=0.90,
            low=0.85,
            level="warning",
            begins="disk_low",
            ends="disk_eased",
            said="nine tenths of the disk are in use: downloads, samples and metrics stop",
            over="there is room on the disk again",
        ),
        "full": _Rule(
            subject="disk",
            high=0.95,
            low=0.93,
            level="error",
            begins="disk_full",
            ends="disk_relieved",
            said="the disk is all but full: what must be kept is soon refused",
            over="the disk is not all but full any more",
        ),
        "read_only": _Rule(
            subject="disk",
            high=1.0,
            low=0.5,
            level="error",
            begins="disk_read_only",
            ends="disk_writable",
            said="the data folder's disk takes no writes: the kernel made it read-only",
            over="the data folder's disk takes writes again",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailments:
    """What a machine suffers from, and where its counters were.

    ``lasting`` says since when the readings of each ailment are calm; None: they are not.
    """

    lasting: Mapping[str, Seconds | None] = field(default_factory=dict[str, Seconds | None])
    throttles: int | None = None
    kills: int | None = None
    io_errors: int | None = None

    @property
    def troubles(self) -> Mapping[str, str]:
        """What lasts, by name, in sentences."""
        return {name: _RULES[name].said for name in self.lasting}


def judge(
    before: Ailments, reading: Reading, *, now: Seconds
) -> tuple[Ailments, tuple[Remark, ...]]:
    """Take a reading; returns what lasts now, and what is to be told of it.

    Checked by: tests/unit/domain/test_ailment.py.
    """
    remarks: list[Remark] = []
    lasting = dict(before.lasting)
    for name, value in _values(before, reading).items():
        rule = _RULES[name]
        if value >= rule.high:
            if name not in lasting:
                remarks.append(_begun(rule))
            lasting[name] = None
        elif name in lasting:
            lasting[name] = calm = _calm(lasting[name], now) if value <= rule.low else None
            if calm is not None and now - calm >= CALM_S:
                remarks.append(_over(rule))
                del lasting[name]
    remarks += _risen(before, reading)
    after = Ailments(
        lasting=lasting,
        throttles=reading.throttles,
        kills=reading.kills,
        io_errors=reading.io_errors,
    )
    return after, tuple(remarks)


def _calm(since: Seconds | None, now: Seconds) -> Seconds:
    """Since when readings are calm that are so now."""
    return now if since is None else since


def _values(before: Ailments, reading: Reading) -> Mapping[str, float]:
    """The value of each ailment that this machine has a sensor for."""
    found: dict[str, float | None] = {
        "hot": None if reading.margin_c is None else -reading.margin_c,
        "throttled": _throttled(before, reading),
        "memory": reading.memory_waits,
        "disk": reading.disk_used,
        "full": reading.disk_used,
        "read_only": float(reading.read_only),
    }
    return {name: value for name, value in found.items() if value is not None}


def _throttled(before: Ailments, reading: Reading) -> float | None:
    """1 where the processor is held back, 0 where not; None where nothing counts that."""
    if reading.cooling is None and reading.throttles is None:
        return None
    return float(bool(reading.cooling) or _rise(before.throttles, reading.throttles) > 0)


def _rise(before: int | None, now: int | None) -> int:
    """By how much a counter rose; one that fell was set back, and says nothing."""
    return 0 if before is None or now is None else max(0, now - before)


def _risen(before: Ailments, reading: Reading) -> list[Remark]:
    found: list[Remark] = []
    kills = _rise(before.kills, reading.kills)
    if kills:
        found.append(
            Remark(
                subject="memory",
                code="memory_killed",
                message=f"the kernel ended {kills} process(es) here for want of memory",
                level="error",
            )
        )
    errors = _rise(before.io_errors, reading.io_errors)
    if errors:
        found.append(
            Remark(
                subject="disk",
                code="disk_error",
                message=f"the data folder's disk reports {errors} new error(s)",
                level="error",
            )
        )
    return found


def _begun(rule: _Rule) -> Remark:
    return Remark(subject=rule.subject, code=rule.begins, message=rule.said, level=rule.level)


def _over(rule: _Rule) -> Remark:
    return Remark(subject=rule.subject, code=rule.ends, message=rule.over, level="info")
