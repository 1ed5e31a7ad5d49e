"""Strain: how much of the processor's time others had, and the host beneath took, of late."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from littoral.cost.terms import PRESSED, rivals_after, strain
from littoral.domain.ports import Clock

IDLE: Final = (3, 4)
"""Positions of the idle times among the figures of a line of /proc/stat: idle and iowait."""
STOLEN: Final = 7
"""What the host beneath took; what stands after it is counted in earlier figures already."""

TICKS_PER_NS: Final = 1e-7
"""/proc/stat counts hundredths of a second."""

REMEMBERED: Final = 600
"""Readings that are kept: five minutes' worth."""


class Strain:
    """Reader of /proc: what was used since the last reading, by us and by everybody.

    Args:
        root: Where /proc is; another folder in tests.
        cores: Numbers of the cores that count; all where there are none.
    """

    def __init__(self, root: Path = Path("/"), cores: Sequence[int] = ()) -> None:
        self._root = root
        self._names = {f"cpu{each}" for each in cores} or {"cpu"}
        self._busy = self._stolen = self._whole = self._cores = 0
        self._own: dict[int, int] = {}
        self._queued: dict[str, tuple[int, int]] = {}
        self._rivals = 1.0

    def read(self, pids: Iterable[int]) -> float:
        """How much slower our work should have been since the last reading than alone.

        Args:
            pids: Our processes; what their children use counts as others'.
        """
        busy, stolen, whole = self._host()
        own = {pid: self._ticks(pid) for pid in pids}
        used = sum(ticks - self._own.get(pid, ticks) for pid, ticks in own.items())
        ran, waited = self._waits(own)
        passed, first = whole - self._whole, not self._whole
        others, taken = busy - self._busy - used, stolen - self._stolen
        self._busy, self._stolen, self._whole, self._own = busy, stolen, whole, own
        if first or passed <= 0:
            return 1.0
        held, share = 1.0 + waited / max(1, ran), others / passed
        pressing = (ran + waited) * TICKS_PER_NS * self._cores / passed
        if pressing >= PRESSED:
            self._rivals = rivals_after(self._rivals, share, held)
        return strain(share, taken / passed, rivals=self._rivals, held=held, pressing=pressing)

    def _host(self) -> tuple[int, int, int]:
        """Ticks in which the cores did something, those stolen, and all there were."""
        busy = stolen = whole = cores = 0
        for line in self._text("proc/stat").splitlines():
            name, *figures = line.split()
            cores += name.startswith("cpu") and name != "cpu"
            if name in self._names:
                ticks = [int(each) for each in figures[: STOLEN + 1]]
                whole += sum(ticks)
                stolen += sum(ticks[STOLEN:])
                busy += sum(each for at, each in enumerate(ticks[:STOLEN]) if at not in IDLE)
        self._cores = len(self._names) if "cpu" not in self._names else max(1, cores)
        return busy, stolen, whole

    def _waits(self, pids: Iterable[int]) -> tuple[int, int]:
        """Nanoseconds since the last reading that threads ran, and that they waited for a core."""
        before, self._queued = self._queued, {}
        ran = waited = 0
        for pid in pids:
            for thread in (self._root / f"proc/{pid}/task").glob("*"):
                figures = self._text(f"proc/{pid}/task/{thread.name}/schedstat").split()
                if len(figures) > 1:
                    now = int(figures[0]), int(figures[1])
                    last = before.get(thread.name, now)
                    self._queued[thread.name] = now
                    ran += max(0, now[0] - last[0])
                    waited += max(0, now[1] - last[1])
        return ran, waited

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


def unstrained(_pids: Sequence[int]) -> float:
    """What a host says that nobody can read: nothing strains it."""
    return 1.0


class Strains:
    """How strained this host was, over the last minutes.

    Args:
        clock: Dates what is read.
        read: The strain since the last reading, of everybody but these processes.
    """

    def __init__(self, clock: Clock, read: Callable[[Sequence[int]], float]) -> None:
        self._clock = clock
        self._read = read
        self._seen: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self.now = 1.0

    def take(self, pids: Sequence[int]) -> None:
        """Read it once more; half of what it is now is what it was."""
        self.now += 0.5 * (self._read(pids) - self.now)
        self._seen.append((self._clock.wall(), self.now))

    def during(self, at_us: int, total_us: int) -> float:
        """The mean over a request, or what it was when that ended; 1 where nobody had read it."""
        found = [each for at, each in self._seen if at_us <= at <= at_us + total_us]
        if found:
            return sum(found) / len(found)
        before = [each for at, each in self._seen if at <= at_us + total_us]
        return before[-1] if before else 1.0
