"""Sensors: heat, memory, disk and load of this machine, as the kernel's files say."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from littoral.domain.node import Reading
from littoral.node.machine import groups_of, text_of

THERMAL = "sys/class/thermal"
CORES = "sys/devices/system/cpu"
BOUNDS = frozenset({"passive", "hot", "critical"})
"""Kinds of trip points at which a machine slows down, or ends."""
COOLERS = ("processor", "cpufreq", "thermal-cpufreq")
"""How the kinds of cooling devices begin that slow a processor down."""
SANE_C = range(-40, 151)
"""Degrees that a sensor may report; outside of these it is broken or not wired."""


class Sensors:
    """Reader of this machine's sensors.

    Args:
        folder: The data folder, whose disk is looked at.
        root: Where /proc and /sys are; another folder in tests.
    """

    def __init__(self, folder: str, root: Path = Path("/")) -> None:
        self._folder = folder
        self._root = root
        self._ticks: tuple[int, int] | None = None

    def read(self) -> Reading:
        """Every figure that this machine has."""
        zones = list(self._zones())
        margins = [bound - heat for heat, bound in zones if bound is not None]
        used, read_only = self._disk()
        return Reading(
            hottest_c=max((heat for heat, _ in zones), default=None),
            margin_c=min(margins, default=None),
            throttles=_sum(self._numbers(CORES, "cpu*/thermal_throttle/*_count")),
            cooling=self._cooling(),
            memory_waits=self._memory_waits(),
            kills=self._kills(),
            disk_used=used,
            io_errors=self._io_errors(),
            read_only=read_only,
            busy=self._busy(),
        )

    def _zones(self) -> Iterator[tuple[float, float | None]]:
        """Degrees of each zone, and the lowest at which something happens there."""
        for zone in sorted((self._root / THERMAL).glob("thermal_zone*")):
            heat = _degrees(text_of(zone / "temp"))
            if heat is None:
                continue
            trips = (
                _degrees(text_of(kind.with_name(kind.name.replace("_type", "_temp"))))
                for kind in zone.glob("trip_point_*_type")
                if text_of(kind).strip() in BOUNDS
            )
            yield heat, min((trip for trip in trips if trip is not None and trip > 0), default=None)

    def _cooling(self) -> bool | None:
        """Whether a processor is slowed down now; None where nothing could do that."""
        states = [
            _number(text_of(device / "cur_state")) or 0
            for device in (self._root / THERMAL).glob("cooling_device*")
            if text_of(device / "type").strip().lower().startswith(COOLERS)
        ]
        return any(state > 0 for state in states) if states else None

    def _numbers(self, top: str, pattern: str) -> Iterator[int]:
        for file in (self._root / top).glob(pattern):
            number = _number(text_of(file))
            if number is not None:
                yield number

    def _memory_waits(self) -> float | None:
        words = text_of(self._root / "proc/pressure/memory").partition("\n")[0].split()
        found = [word.removeprefix("avg60=") for word in words if word.startswith("avg60=")]
        return _float(found[0]) if found else None

    def _kills(self) -> int | None:
        """Of the nearest control group that counts them, else of the whole machine."""
        for folder in groups_of(self._root, "memory"):
            for name in ("memory.events", "memory.oom_control"):
                found = _row(text_of(self._root / folder / name), "oom_kill")
                if found is not None:
                    return found
        return _row(text_of(self._root / "proc/vmstat"), "oom_kill")

    def _disk(self) -> tuple[float | None, bool]:
        try:
            figures = os.statvfs(self._folder)
        except OSError:
            return None, False
        used = 1 - figures.f_bavail / figures.f_blocks if figures.f_blocks else None
        return used, bool(figures.f_flag & os.ST_RDONLY)

    def _io_errors(self) -> int | None:
        """What the file system and the device of the data folder counted, where they do."""
        try:
            device = Path(self._folder).stat().st_dev
        except OSError:
            return None
        block = self._root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
        name = block.resolve().name
        counts = (
            _number(text_of(self._root / f"sys/fs/ext4/{name}/errors_count")),
            _number(text_of(block / "device/ioerr_cnt")),
            _number(text_of(block / "../device/ioerr_cnt")),
        )
        return _sum(each for each in counts if each is not None)

    def _busy(self) -> float | None:
        """Share of all cores' time that was not idle since the last reading."""
        head = text_of(self._root / "proc/stat").partition("\n")[0].split()[1:]
        ticks = [number for number in map(_number, head) if number is not None]
        if len(ticks) < len(("user", "nice", "system", "idle", "iowait")):
            return None
        now = (sum(ticks[:8]), ticks[3] + ticks[4])
        before, self._ticks = self._ticks, now
        if before is None or now[0] <= before[0]:
            return None
        idle = (now[1] - before[1]) / (now[0] - before[0])
        return min(1.0, max(0.0, 1 - idle))


def _sum(numbers: Iterable[int]) -> int | None:
    """Their sum; None where there are none."""
    found = list(numbers)
    return sum(found) if found else None


def _number(text: str) -> int | None:
    """A whole number, decimal or with 0x."""
    try:
        return int(text.strip(), 0)
    except ValueError:
        return None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _degrees(text: str) -> float | None:
    """Degrees Celsius of thousandths; None of what cannot be true."""
    found = _number(text)
    return found / 1000 if found is not None and int(found / 1000) in SANE_C else None


def _row(text: str, name: str) -> int | None:
    """The number behind a word at the beginning of a line."""
    rows = (line.split() for line in text.splitlines())
    return next((_number(row[1]) for row in rows if len(row) > 1 and row[0] == name), None)
