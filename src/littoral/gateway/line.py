"""Line: how requests wait for one model: who is let in, who goes next, who is sent away.

It joins the queue with the rules of shedding; the gateway and the simulation both run it.
"""

from typing import Final, Generic, TypeVar

from littoral.gateway.lane import Claim, Ticket
from littoral.gateway.queue import INTERACTIVE, FairQueue
from littoral.gateway.shed import Sojourn, is_hopeless

PATIENT: Final = 2
"""From this level on nobody minds waiting: only the two above count as overload."""

T = TypeVar("T")


class Line(Generic[T]):
    """The requests that wait for one model.

    Args:
        queue: Empty.
        target_s: The wait that is tolerated, seconds; None where waiting is bounded by deadlines
            alone.
    """

    __slots__ = ("_sojourn", "queue")

    def __init__(self, queue: FairQueue[T], *, target_s: float | None = None) -> None:
        self.queue = queue
        self._sojourn = Sojourn(target_s) if target_s is not None else None

    @property
    def overloaded(self) -> bool:
        """Whether the queue stands longer than is tolerated."""
        return self._sojourn is not None and self._sojourn.overloaded

    def expect(self, target_s: float | None) -> None:
        """Tolerate another wait from now on."""
        old = self._sojourn.target_s if self._sojourn is not None else None
        if target_s != old:
            self._sojourn = Sojourn(target_s) if target_s is not None else None

    def wait_s(self, busy_s: float, *, slots: int) -> float:
        """Predict how long a request of somebody new would wait now, at the second level.

        Args:
            busy_s: How long such a request holds a slot, seconds.
            slots: Requests served at one time.
        """
        if not self.queue.count:
            return 0.0
        return self.queue.backlog_s(PATIENT) / max(slots, 1) + busy_s / max(slots, 1)

    def join(
        self, item: T, claim: Claim, *, slots: int, now: float
    ) -> tuple[Ticket[T] | float, list[Ticket[T]]]:
        """Let a request wait, or say after how many seconds to try again; and who made room.

        A request that would end after its deadline is sent away at once, and so is everyone when
        the queue is full. Under overload an interactive request is not asked to wait behind the
        others: the newest goes first.
        """
        wait_s = self.queue.wait_s(claim, slots)
        first = claim.level == INTERACTIVE and self.overloaded
        ahead_s = 0.0 if first else wait_s
        if now + ahead_s + claim.busy_s > claim.due:
            return wait_s, []
        ticket, gone = self.queue.push(item, claim, now=now)
        return wait_s if ticket is None else ticket, gone

    def next(self, now: float) -> tuple[Ticket[T] | None, list[Ticket[T]]]:
        """Take who goes next, if anyone; and who was sent away on the way there."""
        shed: list[Ticket[T]] = []
        newest = self.overloaded
        while True:
            ticket = self.queue.pop(newest=newest)
            if ticket is None or not self._is_late(ticket, now):
                return ticket, shed
            self.queue.settle(ticket, actual_s=0.0)
            shed.append(ticket)

    def tick(self, now: float) -> list[Ticket[T]]:
        """Look at the waits, about ten times a second; who is sent away because of them."""
        sojourn, queue = self._sojourn, self.queue
        if sojourn is None:
            return []
        since = [queue.oldest(level) for level in range(PATIENT)] if queue.count else []
        sojourn.saw(max((now - at for at in since if at is not None), default=0.0), now)
        if not sojourn.overloaded:
            return []
        shed = queue.older(INTERACTIVE, now - 2 * sojourn.target_s)
        for ticket in shed:
            queue.leave(ticket)
        return shed

    def _is_late(self, ticket: Ticket[T], now: float) -> bool:
        left_s = ticket.claim.due - now
        if left_s <= 0.0:
            return True
        sojourn = self._sojourn
        return (
            sojourn is not None
            and sojourn.overloaded
            and ticket.claim.level < PATIENT
            and is_hopeless(
                waited_s=now - ticket.since,
                target_s=sojourn.target_s,
                left_s=left_s,
                busy_s=ticket.claim.busy_s,
            )
        )
