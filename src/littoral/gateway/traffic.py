"""Traffic: what the gateway keeps of one served name, whatever places serve it at the moment."""

from typing import Protocol

from littoral.gateway.affinity import Affinity
from littoral.gateway.brownout import Ladder
from littoral.gateway.cache import Cache
from littoral.gateway.hedge import Hedge
from littoral.gateway.line import Line
from littoral.gateway.queue import FairQueue
from littoral.gateway.retry import Budget
from littoral.gateway.semantic import Neighbours


class Waiter(Protocol):
    """A request that waits for a slot."""

    def resume(self, now: float) -> bool:
        """Go, now that it is one's turn; False where no place has room."""
        ...

    def shed(self, wait_s: float) -> None:
        """Be sent away; trying again after ``wait_s`` may help."""
        ...


class Traffic:
    """The line before a name's places, and the budget of its retries."""

    __slots__ = ("hedges", "ladders", "line", "name", "queue", "retries", "slots", "waking")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: FairQueue[Waiter] = FairQueue()
        self.line = Line(self.queue)
        self.retries = Budget()
        self.slots = 1
        """Requests that its places serve at one time."""
        self.waking = False
        self.hedges = (Hedge(), Hedge())
        self.ladders: dict[str, tuple[Ladder, float]] = {}
        """By project: how far it gives up, and the wait it tolerates, seconds."""

    def hedge(self, *, streamed: bool) -> Hedge:
        """When answers of a kind are late: streams by their first byte, others as a whole."""
        return self.hedges[streamed]

    def look(self, now: float) -> None:
        """Tell the ladders how long one would wait now."""
        for ladder, after_s in self.ladders.values():
            ladder.saw(self.line.wait_s(0.0, slots=self.slots) / after_s, now)

    def rung(self, project: str, after_s: float) -> int:
        """How far a project gives up now; from the first call on its ladder is told."""
        known = self.ladders.get(project)
        ladder = known[0] if known is not None else Ladder()
        self.ladders[project] = (ladder, after_s)
        return ladder.rung


class Memory:
    """What one process remembers: where requests that began alike went, and what was answered."""

    __slots__ = ("affinity", "cache", "neighbours")

    def __init__(self) -> None:
        self.affinity = Affinity()
        self.cache = Cache()
        self.neighbours = Neighbours()
