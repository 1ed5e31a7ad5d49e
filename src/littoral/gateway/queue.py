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

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import Final, Generic, NamedTuple, TypeVar

LEVELS: Final = 4
INTERACTIVE: Final = 0
FLOOR: Final = 0.05
"""Share of engine time that a level keeps however much waits above it."""
MOST: Final = 1000
MOST_BYTES: Final = 64 * 1024 * 1024
_KEPT: Final = 1024
"""Projects remembered after their last request left, before those at rest are forgotten."""

T = TypeVar("T")


class Claim(NamedTuple):
    """What a request brings to the queue.

    ``busy_s`` is how long it is expected to hold a slot, seconds; ``due`` is when it must have
    ended, seconds of the same clock as ``now``.
    """

    project: str
    level: int
    weight: float
    busy_s: float
    due: float
    size: int


class Ticket(Generic[T]):
    """One request's place in the queue; ``waiting`` ends when it is served or leaves."""

    __slots__ = ("by_floor", "claim", "item", "number", "since", "waiting")

    def __init__(self, item: T, claim: Claim, *, since: float, number: int) -> None:
        self.item = item
        self.claim = claim
        self.since = since
        self.number = number
        self.waiting = True
        self.by_floor = False


class _Lane(Generic[T]):
    """What waits of one project on one level, oldest first, and how far its service stands."""

    __slots__ = ("count", "finish", "seconds", "size", "tickets", "turn", "weight")

    def __init__(self) -> None:
        self.tickets: deque[Ticket[T]] = deque()
        self.finish = 0.0
        self.seconds = 0.0
        self.count = 0
        self.size = 0
        self.weight = 1.0
        self.turn = -1
        """Number of its turn in the heap that counts; -1 where it has none."""

    def peek(self) -> Ticket[T]:
        """The oldest that still waits; those that left are dropped on the way."""
        while not self.tickets[0].waiting:
            self.tickets.popleft()
        return self.tickets[0]

    def take(self, *, newest: bool) -> Ticket[T]:
        """Remove the newest or the oldest that still waits."""
        while True:
            ticket = self.tickets.pop() if newest else self.tickets.popleft()
            if ticket.waiting:
                return ticket


class _Level(Generic[T]):
    """One priority: the lanes of its projects, and their turns by tag."""

    __slots__ = (
        "credit",
        "furthest",
        "lanes",
        "order",
        "seconds",
        "turns",
        "virtual",
        "waiting",
        "weights",
    )

    def __init__(self) -> None:
        self.lanes: dict[str, _Lane[T]] = {}
        self.turns: list[tuple[float, int, _Lane[T]]] = []
        self.order = count()
        self.virtual = 0.0
        self.furthest = 0.0
        """How far the project is that was served most: where all begin again after a pause."""
        self.seconds = 0.0
        self.weights = 0.0
        self.waiting = 0
        self.credit = 0.0

    def lane(self, project: str) -> _Lane[T]:
        """The project's lane; those at rest are forgotten when there are many."""
        lane = self.lanes.get(project)
        if lane is None:
            if len(self.lanes) >= _KEPT:
                self.lanes = {
                    name: lane
                    for name, lane in self.lanes.items()
                    if lane.count or lane.finish > self.virtual
                }
            lane = self.lanes[project] = _Lane()
        return lane

    def add(self, ticket: Ticket[T]) -> None:
        """Let it wait, behind those of its project that came before it."""
        claim = ticket.claim
        lane = self.lane(claim.project)
        tickets = lane.tickets
        is_last = not tickets or tickets[-1].number < ticket.number
        (tickets.append if is_last else tickets.appendleft)(ticket)
        if not lane.count:
            self.weights += claim.weight
            lane.weight = claim.weight
        lane.count += 1
        lane.size += claim.size
        self.waiting += 1
        lane.seconds += claim.busy_s
        self.seconds += claim.busy_s
        if lane.turn < 0:
            self.take_turn(lane)

    def take_turn(self, lane: _Lane[T]) -> None:
        """Give the lane its next turn, in the place of the one it has."""
        lane.turn = next(self.order)
        heappush(self.turns, (max(self.virtual, lane.finish), lane.turn, lane))

    def first(self) -> _Lane[T]:
        """The lane whose turn is next; turns that no longer count are dropped on the way."""
        turns = self.turns
        while True:
            _, number, lane = turns[0]
            if number == lane.turn:
                return lane
            heappop(turns)

    def next(self, *, newest: bool) -> Ticket[T]:
        """Serve the lowest tag."""
        lane = self.first()
        tag, _, _ = heappop(self.turns)
        lane.turn = -1
        ticket = lane.take(newest=newest)
        self.virtual = tag
        lane.finish = max(tag, lane.finish) + ticket.claim.busy_s / lane.weight
        self.furthest = max(self.furthest, lane.finish)
        self.left(lane, ticket)
        if lane.count:
            self.take_turn(lane)
        return ticket

    def correct(self, lane: _Lane[T], error_s: float) -> None:
        """Move the lane to where its service really stands."""
        lane.finish += error_s / lane.weight
        if lane.turn >= 0:
            self.take_turn(lane)

    def left(self, lane: _Lane[T], ticket: Ticket[T]) -> None:
        """Count one less."""
        ticket.waiting = False
        lane.count -= 1
        lane.size -= ticket.claim.size
        self.waiting -= 1
        lane.seconds -= ticket.claim.busy_s
        self.seconds -= ticket.claim.busy_s
        if not lane.count:
            self.weights -= lane.weight
            lane.seconds = 0.0
            lane.turn = -1
            lane.tickets.clear()
        if not self.waiting:
            self.seconds = self.weights = self.credit = 0.0
            self.virtual = self.furthest
            self.turns.clear()
        elif len(lane.tickets) > 2 * lane.count + 16:
            lane.tickets = deque(each for each in lane.tickets if each.waiting)


class FairQueue(Generic[T]):
    """The requests that wait for one model. ``count`` is how many they are.

    Every operation costs O(log projects), spread over many calls where requests leave unserved.

    Args:
        most: How many may wait.
        most_bytes: How many bytes their bodies may hold.
    """

    __slots__ = ("_levels", "_most", "_most_bytes", "_number", "count", "size")

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._levels: tuple[_Level[T], ...] = tuple(_Level() for _ in range(LEVELS))
        self._most = most
        self._most_bytes = most_bytes
        self._number = 0
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
        ticket = self._levels[at].next(newest=newest and at == INTERACTIVE)
        self._charge(at, ticket)
        self.count -= 1
        self.size -= ticket.claim.size
        return ticket

    def put_back(self, ticket: Ticket[T]) -> None:
        """Undo a ``pop`` whose request found no place; of several, the last popped comes first."""
        claim = ticket.claim
        self.settle(ticket, actual_s=0.0)
        ticket.waiting = True
        self._levels[claim.level].add(ticket)
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

        def extent(lane: _Lane[T]) -> int:
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
