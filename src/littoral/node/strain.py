"""Strain: how much of the processor's time others had, and the host beneath took, of late."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from littoral.cost.terms import strain

IDLE: Final = (3, 4)
"""Positions of the idle times among the figures of a line of /proc/stat: idle and iowait."""
GUESTS: Final = 8
"""From here on the figures are counted in earlier ones already."""


class Strain:
    """Reader of /proc: what was used since the last reading, by us and by everybody.

    Args:
        root: Where /proc is; another folder in tests.
        cores: Numbers of the cores that count; all where there are none.
    """

    def __init__(self, root: Path = Path("/"), cores: Sequence[int] = ()) -> None:
        self._root = root
        self._names = {f"cpu{each}" for each in cores} or {"cpu"}
        self._busy = self._whole = 0
        self._own: dict[int, int] = {}

    def read(self, pids: Iterable[int], cores: float) -> float:
        """How much slower our work should have been since the last reading than alone.

        Args:
            pids: Our processes; what their children use counts as others'.
            cores: How many cores there are.
        """
        busy, whole = self._host()
        own = {pid: self._ticks(pid) for pid in pids}
        used = sum(ticks - self._own.get(pid, ticks) for pid, ticks in own.items())
        spent, passed = busy - self._busy, whole - self._whole
        first = not self._whole
        self._busy, self._whole, self._own = busy, whole, own
        if first or passed <= 0:
            return 1.0
        return strain(cores, max(0, spent - used) / passed * cores)

    def _host(self) -> tuple[int, int]:
        """Ticks in which the cores did something, stolen ones too, and all of their ticks."""
        busy = whole = 0
        for line in self._text("proc/stat").splitlines():
            name, *figures = line.split()
            if name in self._names:
                ticks = [int(each) for each in figures[:GUESTS]]
                whole += sum(ticks)
                busy += sum(each for at, each in enumerate(ticks) if at not in IDLE)
        return busy, whole

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
