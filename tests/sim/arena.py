"""Arena: virtual time, arrivals and engines, in which the gateway's own policies are tried.

Nothing waits: the next event is taken from a heap. The policies are the objects that serve; only
engines and clients are played here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from littoral.testing.chance import SeededChance


class World:
    """A clock, and what happens when."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.chance = SeededChance(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Let something happen."""
        self._count += 1
        heappush(self._events, (max(when, self.now), self._count, act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heappop(self._events)
            act()
        self.now = until

    def every(self, seconds: float, act: Callable[[], None], *, until: float) -> None:
        """Let something happen again and again."""

        def tick() -> None:
            act()
            if self.now + seconds <= until:
                self.at(self.now + seconds, tick)

        self.at(self.now + seconds, tick)

    def stream(self, rate: float, act: Callable[[], None], *, start: float, until: float) -> None:
        """Let clients come independently of each other and of the answers, ``rate`` a second."""

        def come() -> None:
            act()
            again()

        def again() -> None:
            when = self.now + self.exponential(1.0 / rate)
            if when < until:
                self.at(when, come)

        self.at(start, again)

    # shapes of chance

    def exponential(self, mean: float) -> float:
        """A time with no memory."""
        return -mean * math.log(1.0 - self.chance.random())

    def lognormal(self, median: float, sigma: float) -> float:
        """A time with a tail, as service times have."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.chance.random()))
        return median * math.exp(sigma * radius * math.cos(2 * math.pi * self.chance.random()))

    def zipf(self, count: int, power: float) -> Callable[[], int]:
        """Draws of ``count`` things of which few are asked for often."""
        weights = [1.0 / (rank + 1) ** power for rank in range(count)]
        total = math.fsum(weights)
        bounds, reached = [], 0.0
        for weight in weights:
            reached += weight / total
            bounds.append(reached)

        def draw() -> int:
            want, low, high = self.chance.random(), 0, count - 1
            while low < high:
                middle = (low + high) // 2
                if bounds[middle] < want:
                    low = middle + 1
                else:
                    high = middle
            return low

        return draw


@dataclass(slots=True)
class Job:
    """One request of a simulated client."""

    project: str
    came: float
    busy_s: float
    expected_s: float
    due: float = math.inf
    level: int = 1
    weight: float = 1.0
    wait_s: float = -1.0
    ended: float = -1.0


@dataclass(slots=True)
class Engine:
    """Slots, and how many are taken."""

    slots: int
    taken: int = 0

    @property
    def free(self) -> bool:
        """Whether a request would begin at once."""
        return self.taken < self.slots


def quantile(values: list[float], share: float) -> float:
    """The value that ``share`` of all do not exceed; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]
