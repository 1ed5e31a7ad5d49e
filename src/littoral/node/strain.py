"""Strain: how much of the processor's time others had, and the host beneath took, of late."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from littoral.cost.terms import strain

IDLE: Final = (3, 4)
"""Positions of the idle times among the figures of a line of /proc/stat: idle and iowait."""
STOLEN: Final = 7
"""What the host beneath took; what stands after it is counted in earlier figures already."""


class Strain:
    """Reader of /proc: what was used since the last reading, by us and by everybody.

    Args:
        root: Where /proc is; another folder in tests.
        cores: Numbers of the cores that count; all where there are none.
    """

    def __init__(self, root: Path = Path("/"), cores: Sequence[int] = ()) -> None:
        self._root = root
        self._names = {f"cpu{each}" for each in cores} or {"cpu"}
        self._busy = self._stolen = self._whole = 0
        self._own: dict[int, int] = {}

    def read(self, pids: Iterable[int]) -> float:
        """How much slower our work should have been since the last reading than alone.

        Args:
            pids: Our processes; what their children use counts as others'.
        """
        busy, stolen, whole = self._host()
        own = {pid: self._ticks(pid) for pid in pids}
        used = sum(ticks - self._own.get(pid, ticks) for pid, ticks in own.items())
        passed, first = whole - self._whole, not self._whole
        others, taken = busy - self._busy - used, stolen - self._stolen
        self._busy, self._stolen, self._whole, self._own = busy, stolen, whole, own
        if first or passed <= 0:
            return 1.0
        return strain(others / passed, taken / passed)

    def _host(self) -> tuple[int, int, int]:
        """Ticks in which the cores did something, those stolen, and all there were."""
        busy = stolen = whole = 0
        for line in self._text("proc/stat").splitlines():
            name, *figures = line.split()
            if name in self._names:
                ticks = [int(each) for each in figures[: STOLEN + 1]]
                whole += sum(ticks)
                stolen += sum(ticks[STOLEN:])
                busy += sum(each for at, each in enumerate(ticks[:STOLEN]) if at not in IDLE)
        return busy, stolen, whole

    def _ticks(self, pid: int) -> int:
        """Ticks that a process has used; 0 where it is gone."""
        _, _, rest = self._text(f"proc/{pid}/stat").rpartition(")")
        figures = rest.split()
        return int(figures[11]) + int(figures[12]) if len(figures) > 12 else 0

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_text("ascii", "replace")
        except OSError:
            return ""
