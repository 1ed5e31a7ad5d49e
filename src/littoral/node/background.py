"""Background: responses that wait, run and end, each at least once, on whichever gateway is there.

A run whose gateway dies is given to another; one whose node dies begins again when it is back. What
a stream has said cannot be taken back, so one that was cut in the middle has failed instead.
"""

import math
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from littoral.domain.errors import LimitReached, LittoralError, Overloaded
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Clock
from littoral.domain.response import UNDER_WAY, ResponseStore, StoredResponse
from littoral.domain.session import Frame, Heard, Quit, Ran, Run, Told
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import HOUR_US, Seconds
from littoral.node.board import Board
from littoral.node.share import next_project, part_of, weights_of
from littoral.node.signal import Signal

TICK = Seconds(1.0)
RUNS = 3
"""A response whose gateway or engine failed so often has failed."""
PATIENCE_US = HOUR_US
"""How long one waits for an engine or a limit before it has failed, microseconds."""
MOST_EVENTS = 8 * 1024 * 1024
"""Bytes of one stream that are kept; the rest of a longer one is told to its followers only."""
LOST = "the gateway that ran it ended"
CUT = "the gateway that ran it ended in the middle of the stream, which cannot be taken back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many responses run in the background at one time, and how many may wait for it."""

    running: int = 16
    waiting: int = 1000


class Outlet(Protocol):
    """A gateway, as a run sees it."""

    def post(self, frame: Frame) -> None:
        """Send a frame when there is room."""
        ...


@dataclass(slots=True)
class _Waiting:
    """A response that waits to be run, and from when on it may."""

    response: StoredResponse
    due: float


@dataclass(slots=True)
class _Running:
    """A response that is run, where, and what it has said so far."""

    response: StoredResponse
    outlet: Outlet
    events: list[bytes] = field(default_factory=list[bytes])
    size: int = 0


class Background:
    """What runs, and who follows it.

    Args:
        store: Where responses are kept.
        clock: When they may be tried again.
        board: Is told when the disk refuses; knows the projects' weights.
        bounds: How many at one time.
    """

    def __init__(self, store: ResponseStore, *, clock: Clock, board: Board, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._clock = clock
        self._board = board
        self._outlets: list[Outlet] = []
        self._waiting: dict[str, _Waiting] = {}
        self._running: dict[int, _Running] = {}
        self._closing: set[str] = set()
        self._followers: dict[str, set[tuple[Outlet, int]]] = {}
        self._turns: dict[ProjectId, int] = {}
        self._weighed: tuple[Snapshot | None, Mapping[ProjectId, float]] = (None, {})
        self._count = 0
        self._changed = Signal()
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Take up what was under way when the node ended, and give out what waits."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                await self._take_up()
                while True:
                    self._give_out()
                    await self._changed.wait(at_most_s=TICK if self._waiting else None)
            finally:
                self._group = None

    def join(self, outlet: Outlet) -> None:
        """A gateway is there."""
        self._outlets.append(outlet)
        self._changed.notify()

    def leave(self, outlet: Outlet) -> None:
        """A gateway is gone: what it ran is run again, or has failed."""
        self._outlets.remove(outlet)
        for followers in self._followers.values():
            followers.difference_update([each for each in followers if each[0] is outlet])
        for number in [n for n, each in self._running.items() if each.outlet is outlet]:
            lost = self._running.pop(number)
            if lost.response.streamed and lost.events:
                self._close(replace(lost.response, status="failed", reason=CUT), lost.events)
            else:
                self._retry(lost.response)
        self._changed.notify()

    # what is to run

    def part_of(self, project: ProjectId) -> float:
        """The part of what is bounded here that a project may have."""
        return part_of(project, self._weights())

    def check_room(self, project: ProjectId) -> None:
        """Say whether a further response may wait.

        Raises:
            Overloaded: None may.
            LimitReached: None of this project may: it has its part.
        """
        most = self._bounds.waiting
        if len(self._waiting) >= most:
            message = f"{most} responses already wait to run in the background"
            raise Overloaded(message, retry_after_s=10.0)
        share = math.ceil(most * self.part_of(project))
        own = sum(each.response.project == project for each in self._waiting.values())
        if own >= share:
            message = (
                f"{own} responses of project {project!r} wait to run in the background, "
                "which is its share; wait until some have run"
            )
            raise LimitReached(message, retry_after_s=10.0)

    def _weights(self) -> Mapping[ProjectId, float]:
        snapshot = self._board.snapshot
        if self._weighed[0] is not snapshot:
            self._weighed = snapshot, weights_of(snapshot)
        return self._weighed[1]

    def add(self, response: StoredResponse, delay_s: float = 0.0) -> None:
        """Run a stored response when a gateway has room, after so many seconds at least."""
        self._waiting[response.id] = _Waiting(response, self._clock.now() + delay_s)
        self._changed.notify()

    def forget(self, name: str) -> bytes:
        """Neither wait for it nor run it any more; returns what it said so far."""
        self._waiting.pop(name, None)
        for number, each in list(self._running.items()):
            if each.response.id == name:
                del self._running[number]
                each.outlet.post(Quit(run=number))
                self._changed.notify()
                return b"".join(each.events)
        return b""

    async def _take_up(self) -> None:
        try:
            found = await self._store.under_way()
        except LittoralError as error:
            self._board.say_error("responses", error)
            return
        for each in found:
            if each.status == "in_progress" and each.streamed:
                self._close(replace(each, status="failed", reason=CUT), [])
            else:
                self._retry(each)

    def _retry(self, response: StoredResponse) -> None:
        if response.runs >= RUNS:
            reason = f"{LOST}, {response.runs} times"
            self._close(replace(response, status="failed", reason=reason), [])
        else:
            self.add(response)

    def _give_out(self) -> None:
        """Give what is due, project by project, to the gateway that runs fewest."""
        running = Counter(each.response.project for each in self._running.values())
        while self._outlets and len(self._running) < self._bounds.running:
            due = self._due()
            project = next_project(due, running=running, weights=self._weights(), turns=self._turns)
            if project is None:
                return
            response = self._waiting.pop(due[project]).response
            running[project] += 1
            self._count += 1
            self._turns[project] = self._count
            self._running[self._count] = _Running(response, self._idlest())
            self._spawn(self._start, self._count)

    def _due(self) -> dict[ProjectId, str]:
        """Of each project the response that waits longest, of those whose time has come."""
        now, found = self._clock.now(), dict[ProjectId, str]()
        for name, each in self._waiting.items():
            if each.due <= now:
                found.setdefault(each.response.project, name)
        return found

    def _idlest(self) -> Outlet:
        busy = [each.outlet for each in self._running.values()]
        return min(self._outlets, key=busy.count)

    async def _start(self, number: int) -> None:
        """Write down that it runs, then run it; it may have been cancelled in between."""
        given = self._running.get(number)
        if given is None:
            return
        begun = replace(given.response, status="in_progress", runs=given.response.runs + 1)
        if not await self._write(begun):
            self._running.pop(number, None)
        elif self._running.get(number) is given:
            given.response = begun
            given.outlet.post(Run(run=number, response=begun))

    # what runs

    def tell(self, told: Told) -> None:
        """A run said something."""
        running = self._running.get(told.run)
        if running is None:
            return
        running.size += len(told.events)
        if running.size <= MOST_EVENTS:
            running.events.append(told.events)
        for outlet, number in self._followers.get(running.response.id, ()):
            outlet.post(Heard(number=number, events=told.events))

    def end(self, ran: Ran) -> None:
        """A run ended, or was handed back."""
        running = self._running.pop(ran.run, None)
        if running is None:
            return
        self._changed.notify()
        response = running.response
        waited_us = self._clock.wall() - response.created_us
        spent = waited_us >= PATIENCE_US or (ran.counted and response.runs >= RUNS)
        if ran.again_s is not None and not spent and not running.events:
            runs = response.runs if ran.counted else response.runs - 1
            back = replace(response, status="queued", runs=runs)
            self._closing.add(response.id)
            self._spawn(self._hand_back, back, ran.again_s)
            return
        status = "failed" if ran.again_s is not None else ran.status
        ended = replace(response, status=status, body=ran.body or response.body, reason=ran.reason)
        self._close(ended, running.events)

    async def _hand_back(self, response: StoredResponse, delay_s: float) -> None:
        if await self._write(response):
            self.add(response, delay_s)
        self._closing.discard(response.id)

    def _close(self, response: StoredResponse, events: list[bytes]) -> None:
        self._closing.add(response.id)
        self._spawn(self._write_end, replace(response, asked=b"", events=b"".join(events)))

    async def _write_end(self, response: StoredResponse) -> None:
        await self._write(response)
        self._closing.discard(response.id)
        self.finish(response.id)

    async def _write(self, response: StoredResponse) -> bool:
        """Write it for as long as it takes: a full disk gets room again."""
        told = False
        while True:
            try:
                return await self._store.advance(response)
            except LittoralError as error:
                if not told:
                    self._board.say_error("responses", error)
                told = True
                await anyio.sleep(TICK)

    # who follows

    def follow(self, response: StoredResponse, outlet: Outlet, number: int) -> bool:
        """Send what it said and will say under ``number``; False where it may have ended since."""
        if response.status not in UNDER_WAY:
            outlet.post(Heard(number=number, events=response.events, ended=True))
            return True
        running = [each for each in self._running.values() if each.response.id == response.id]
        if not running and response.id not in self._waiting and response.id not in self._closing:
            return False
        for each in running:
            if each.events:
                outlet.post(Heard(number=number, events=b"".join(each.events)))
        self._followers.setdefault(response.id, set()).add((outlet, number))
        return True

    def unfollow(self, outlet: Outlet, number: int) -> None:
        """Nobody listens under this number any more."""
        for followers in self._followers.values():
            followers.discard((outlet, number))

    def finish(self, name: str) -> None:
        """It ended: its followers hear so."""
        for outlet, number in self._followers.pop(name, ()):
            outlet.post(Heard(number=number, events=b"", ended=True))

    def _spawn(self, work: Callable[..., Coroutine[object, object, None]], *args: object) -> None:
        if self._group is not None:
            self._group.start_soon(work, *args)
