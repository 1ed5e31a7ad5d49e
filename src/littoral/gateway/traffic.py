"""Traffic: what the gateway keeps of one served name, whatever places serve it at the moment."""

from typing import Protocol

from littoral.gateway.line import Line
from littoral.gateway.queue import FairQueue
from littoral.gateway.retry import Budget


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

    __slots__ = ("line", "name", "queue", "retries", "slots", "waking")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: FairQueue[Waiter] = FairQueue()
        self.line = Line(self.queue)
        self.retries = Budget()
        self.slots = 1
        """Requests that its places serve at one time."""
        self.waking = False
