"""Lanes: what waits on one level of a queue, by project, and how far each project was served."""

from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, NamedTuple, TypeVar

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

    __slots__ = ("before", "by_floor", "claim", "item", "number", "since", "waiting")

    def __init__(self, item: T, claim: Claim, *, since: float, number: int) -> None:
        self.item = item
        self.claim = claim
        self.since = since
        self.number = number
        self.waiting = True
        self.by_floor = False
        self.before: Before | None = None
        """Once it was popped: how the queue stood until then."""


class Before(NamedTuple):
    """What a pop changes, and how many pops there had been with it."""

    pops: int
    last: int
    credits: tuple[float, ...]
    virtual: float
    furthest: float
    finish: float
    turn: tuple[float, int]


class Lane(Generic[T]):
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


class Level(Generic[T]):
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
        self.lanes: dict[str, Lane[T]] = {}
        self.turns: list[tuple[float, int, Lane[T]]] = []
        self.order = count()
        self.virtual = 0.0
        self.furthest = 0.0
        """How far the project is that was served most: where all begin again after a pause."""
        self.seconds = 0.0
        self.weights = 0.0
        self.waiting = 0
        self.credit = 0.0

    def lane(self, project: str) -> Lane[T]:
        """The project's lane; those at rest are forgotten when there are many."""
        lane = self.lanes.get(project)
        if lane is None:
            if len(self.lanes) >= _KEPT:
                self.lanes = {
                    name: lane
                    for name, lane in self.lanes.items()
                    if lane.count or lane.finish > self.virtual
                }
            lane = self.lanes[project] = Lane()
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

    def take_turn(self, lane: Lane[T]) -> None:
        """Give the lane its next turn, in the place of the one it has."""
        lane.turn = next(self.order)
        heappush(self.turns, (max(self.virtual, lane.finish), lane.turn, lane))
        if len(self.turns) > 2 * self.waiting + 16:
            self.turns = [each for each in self.turns if each[1] == each[2].turn]
            heapify(self.turns)

    def first(self) -> Lane[T]:
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

    def undo(self, lane: Lane[T], ticket: Ticket[T], before: Before) -> None:
        """Be as before the ticket was served."""
        self.virtual, self.furthest, lane.finish = before.virtual, before.furthest, before.finish
        tag, lane.turn = before.turn
        heappush(self.turns, (tag, lane.turn, lane))
        self.add(ticket)

    def correct(self, lane: Lane[T], error_s: float) -> None:
        """Move the lane to where its service really stands."""
        lane.finish += error_s / lane.weight
        if lane.turn >= 0:
            self.take_turn(lane)

    def left(self, lane: Lane[T], ticket: Ticket[T]) -> None:
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
