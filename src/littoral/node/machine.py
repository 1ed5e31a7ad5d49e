"""What this host offers to engines: read from /proc, /sys and the control group, never guessed."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from littoral.domain.endpoint import Machine
from littoral.domain.units import Bytes

CALM, BUSY = 2.0, 10.0
"""Per cent of the last minute in which a task waited for a core: below, above."""
UNLIMITED = 1 << 60


class Host:
    """Reader of this host's figures.

    Args:
        root: Where /proc and /sys are; another folder in tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._contended = False

    def read(self) -> Machine:
        """Cores this process may use, memory under every limit, and whether cores are contended."""
        memory = self._meminfo()
        total, free = memory["MemTotal"], memory["MemAvailable"]
        for limit, used in self._memory_limits():
            total = min(total, limit)
            free = min(free, max(0, limit - used))
        return Machine(
            cores=self._cores(),
            memory=Bytes(total),
            memory_free=Bytes(free),
            contended=self._pressed(),
        )

    def _text(self, path: str) -> str:
        return text_of(self._root / path)

    def _meminfo(self) -> dict[str, int]:
        rows = (line.split() for line in self._text("proc/meminfo").splitlines())
        return {"MemTotal": 0, "MemAvailable": 0} | {
            row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) > 1
        }

    def _memory_limits(self) -> Iterator[tuple[int, int]]:
        for folder in groups_of(self._root, "memory"):
            for limit, used in (
                ("memory.max", "memory.current"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            ):
                most = self._text(f"{folder}/{limit}").strip()
                if most.isdigit() and int(most) < UNLIMITED:
                    now = int(self._text(f"{folder}/{used}") or 0)
                    yield int(most), max(0, now - self._reclaimable(folder))

    def _reclaimable(self, folder: Path) -> int:
        rows = (line.split() for line in self._text(f"{folder}/memory.stat").splitlines())
        found = {row[0]: int(row[1]) for row in rows if len(row) == 2}
        return found.get("total_inactive_file", found.get("inactive_file", 0))

    def _cores(self) -> int:
        allowed = os.sched_getaffinity(0)
        siblings = {
            self._text(f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
            or str(number)
            for number in allowed
        }
        return max(1, min([len(siblings), *self._quotas()]))

    def _quotas(self) -> Iterator[int]:
        for folder in groups_of(self._root, "cpu"):
            quota, _, period = self._text(f"{folder}/cpu.max").strip().partition(" ")
            if not quota:
                quota = self._text(f"{folder}/cpu.cfs_quota_us").strip()
                period = self._text(f"{folder}/cpu.cfs_period_us").strip()
            if quota.isdigit() and period.isdigit() and int(period) > 0:
                yield math.ceil(int(quota) / int(period))

    def _pressed(self) -> bool:
        for word in self._text("proc/pressure/cpu").split():
            name, _, value = word.partition("=")
            if name == "avg60":
                share = float(value)
                self._contended = share > (CALM if self._contended else BUSY)
                return self._contended
        return False


def text_of(path: Path) -> str:
    """What a file of the kernel says; empty where there is none, or it may not be read."""
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def groups_of(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of all above it, relative to ``root``."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number != "0" and controller not in controllers.split(","):
            continue
        top = Path("sys/fs/cgroup" if number == "0" else f"sys/fs/cgroup/{controllers}")
        inner = Path(path.lstrip("/"))
        yield from (top / part for part in (inner, *inner.parents))
