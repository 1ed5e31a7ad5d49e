"""Queue: who goes next where every slot is taken, fair between projects by engine seconds.

There are four levels, one a priority. Within a level each project that waits has one *turn* in a
heap; its tag is how far the project has been served, in engine seconds divided by its weight, and
at least as far as the last one served. The lowest tag goes next, so backlogged projects get engine
time in proportion to their weights, whatever their requests look like. A turn belongs to the
project: which of its requests takes it is said by whoever asks. A tag counts what was served, not
what is asked for, and is corrected when it is known what a request took: nobody gains by looking
cheap, and looking dear costs turns only until then.

A full queue does not lock out who asks for little: room is made by the project that waits with
most, on no higher a level.

Source: start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996), with tags corrected afterwards.
"""

from typing import Final, Generic, TypeVar

from littoral.gateway.lane import Before, Claim, Lane, Level, Ticket

LEVELS: Final = 4
INTERACTIVE: Final = 0
FLOOR: Final = 0.05
"""Share of engine time that a level keeps however much waits above it."""
MOST: Final = 1000
MOST_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T")


class FairQueue(Generic[T]):
    """The requests that wait for one model. ``count`` is how many they are.

    Every operation costs O(log projects), spread over many calls where requests leave unserved.

    Args:
        most: How many may wait.
        most_bytes: How many bytes their bodies may hold.
    """

    __slots__ = ("_last", "_levels", "_most", "_most_bytes", "_number", "_pops", "count", "size")

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._levels: tuple[Level[T], ...] = tuple(Level() for _ in range(LEVELS))
        self._most = most
        self._most_bytes = most_bytes
        self._number = 0
        self._pops = self._last = 0
        """How many were popped, and which of them last, of those that were not put back."""
        self.count = 0
        self.size = 0

    def __len__(self) -> int:
        """Records held: what its memory grows with."""
        lanes = [lane for level in self._levels for lane in level.lanes.values()]
        turns = sum(len(level.turns) for level in self._levels)
        return len(lanes) + sum(len(lane.tickets) for lane in lanes) + turns

    def wait_s(self, claim: Claim, slots: int) -> float:
        """Predict how long a request with this claim would wait, seconds.

        What waits above it goes first; on its level it is served no later than behind all others,
        and no later than its project's share allows. The first slot comes free after about the
        time of one request, divided by the slots.

        Args:
            claim: The request's.
            slots: Requests served at one time.
        """
        levels, at = self._levels, claim.level
        above = sum(level.seconds for level in levels[:at])
        level = levels[at]
        lane = level.lanes.get(claim.project)
        own = (lane.seconds if lane else 0.0) + claim.busy_s
        known = bool(lane and lane.count)
        weights = level.weights + (0.0 if known else claim.weight)
        fair = own * weights / claim.weight - claim.busy_s
        return (above + min(level.seconds, fair) + claim.busy_s) / max(slots, 1)

    def backlog_s(self, levels: int) -> float:
        """Engine seconds that wait on the first ``levels`` levels."""
        return sum(level.seconds for level in self._levels[:levels])

    def push(
        self, item: T, claim: Claim, *, now: float
    ) -> tuple[Ticket[T] | None, list[Ticket[T]]]:
        """Let a request wait.

        Returns:
            Its ticket, None where the queue is full; and who had to leave to make room.
        """
        gone: list[Ticket[T]] = []
        while self.count >= self._most or self.size + claim.size > self._most_bytes:
            ticket = self._largest(claim, by_bytes=self.count < self._most)
            if ticket is None:
                return None, gone
            self.leave(ticket)
            gone.append(ticket)
        self._number += 1
        ticket = Ticket(item, claim, since=now, number=self._number)
        self._levels[claim.level].add(ticket)
        self.count += 1
        self.size += claim.size
        return ticket, gone

    def pop(self, *, newest: bool = False) -> Ticket[T] | None:
        """Take who goes next.

        Args:
            newest: Serve a project's newest interactive request first: under overload the oldest
                have lost already.
        """
        if not self.count:
            return None
        at = self._level()
        level = self._levels[at]
        lane = level.first()
        self._pops += 1
        before = Before(
            self._pops,
            self._last,
            tuple(each.credit for each in self._levels),
            level.virtual,
            level.furthest,
            lane.finish,
            level.turns[0][:2],
        )
        ticket = level.next(newest=newest and at == INTERACTIVE)
        ticket.before, self._last = before, self._pops
        self._charge(at, ticket)
        self.count -= 1
        self.size -= ticket.claim.size
        return ticket

    def put_back(self, ticket: Ticket[T]) -> None:
        """Undo a ``pop`` whose request found no place; of several, the last popped comes first.

        Where another was served since, its place in line is its own again, but those that were
        served less than that one are as far as it is.
        """
        claim, before = ticket.claim, ticket.before
        level = self._levels[claim.level]
        ticket.waiting = True
        if before is not None and before.pops == self._last:
            self._last = before.last
            level.undo(level.lane(claim.project), ticket, before)
            for each, credit in zip(self._levels, before.credits, strict=True):
                each.credit = credit
        else:
            self.settle(ticket, actual_s=0.0)
            level.add(ticket)
        self.count += 1
        self.size += claim.size

    def leave(self, ticket: Ticket[T]) -> None:
        """Let a request go unserved; does nothing when it no longer waits."""
        if ticket.waiting:
            level = self._levels[ticket.claim.level]
            level.left(level.lanes[ticket.claim.project], ticket)
            self.count -= 1
            self.size -= ticket.claim.size

    def oldest(self, level: int) -> float | None:
        """When the request of a level came that waits longest; None where none waits."""
        lanes = self._levels[level].lanes.values()
        return min((lane.peek().since for lane in lanes if lane.count), default=None)

    def older(self, level: int, since: float) -> list[Ticket[T]]:
        """The requests of a level that came before ``since``; they stay until they ``leave``."""
        found: list[Ticket[T]] = []
        for lane in self._levels[level].lanes.values():
            for ticket in lane.tickets:
                if ticket.since >= since:
                    break
                if ticket.waiting:
                    found.append(ticket)
        return found

    def tickets(self) -> list[Ticket[T]]:
        """Every request that waits."""
        lanes = [lane for level in self._levels for lane in level.lanes.values()]
        return [ticket for lane in lanes for ticket in lane.tickets if ticket.waiting]

    def settle(self, ticket: Ticket[T], *, actual_s: float) -> None:
        """Correct what a served request was charged, once it is known what it took.

        Args:
            ticket: From ``pop``.
            actual_s: How long the request held its slot, seconds.
        """
        claim = ticket.claim
        level = self._levels[claim.level]
        error_s = actual_s - claim.busy_s
        level.correct(level.lane(claim.project), error_s)
        if ticket.by_floor:
            level.credit -= error_s

    def _largest(self, claim: Claim, *, by_bytes: bool) -> Ticket[T] | None:
        """The newest request of the project with most, unless that is the one that asks."""

        def extent(lane: Lane[T]) -> int:
            return lane.size if by_bytes else lane.count

        levels = self._levels[claim.level :]
        lanes = [lane for level in levels for lane in level.lanes.values() if lane.count]
        own = self._levels[claim.level].lanes.get(claim.project)
        mine = (extent(own) if own else 0) + (claim.size if by_bytes else 1)
        lane = max(lanes, key=extent, default=None)
        if lane is None or lane is own or extent(lane) <= mine:
            return None
        return next(ticket for ticket in reversed(lane.tickets) if ticket.waiting)

    def _level(self) -> int:
        """The highest level with a request, unless a lower one has earned its turn."""
        levels = self._levels
        highest = next(at for at, level in enumerate(levels) if level.waiting)
        for at in range(LEVELS - 1, highest, -1):
            level = levels[at]
            if level.waiting and level.credit >= level.first().peek().claim.busy_s:
                return at
        return highest

    def _charge(self, at: int, ticket: Ticket[T]) -> None:
        """Lower levels that wait earn their floor; one that goes before a higher one pays."""
        levels, busy_s = self._levels, ticket.claim.busy_s
        for level in levels[at + 1 :]:
            if level.waiting:
                level.credit += FLOOR * busy_s
        ticket.by_floor = any(level.waiting for level in levels[:at])
        if ticket.by_floor:
            levels[at].credit -= busy_s
