"""Carrying: deferrals as they are run, each by one gateway, and booked once.

The answer and what it used are written together, and booked afterwards: whoever dies in between
leaves either a request that is run again, or an answer whose usage is booked at the next start.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from littoral.domain.deferral import Deferral, DeferralState, DeferralStore, Room
from littoral.domain.errors import Damaged, LittoralError, StorageFull
from littoral.domain.ids import ProjectId
from littoral.domain.local import Carried, Carry, Quit
from littoral.domain.ports import Clock, Failpoints, Outbox
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.node.ahead import Ahead
from littoral.node.background import Outlet
from littoral.node.board import Board
from littoral.node.share import next_project
from littoral.node.signal import Signal

TICK = Seconds(1.0)
RUNS = 10
"""A request whose runs ended so often in vain, or with their gateway or node, has failed."""
LOST = "the gateway that ran it ended"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralBounds:
    """How many run at one time, how much is kept, and for how long once it has ended."""

    running: int = 8
    room: Room = field(default_factory=Room)
    keep_us: Micros = Micros(72 * HOUR_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralParts:
    """What deferrals need. ``booked`` is told of records once they are in the outbox."""

    store: DeferralStore
    outbox: Outbox
    clock: Clock
    board: Board
    failpoints: Failpoints
    booked: Callable[[Sequence[UsageRecord]], None]
    bounds: DeferralBounds = field(default_factory=DeferralBounds)


class Carrying:
    """What waits and what runs; ``group`` is set while tasks may be begun.

    Args:
        parts: What it needs.
    """

    def __init__(self, parts: DeferralParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._outlets: list[Outlet] = []
        self._running: dict[int, tuple[Deferral, Outlet]] = {}
        self._turns: dict[ProjectId, int] = {}
        self._count = 0
        self.ahead = Ahead()
        self.weights: Mapping[ProjectId, float] = {}
        self.changed = Signal()
        self.group: TaskGroup | None = None

    def add(self, deferral: Deferral) -> None:
        """Let one wait for its turn."""
        self.ahead.add(deferral)
        self.changed.notify()

    def join(self, outlet: Outlet) -> None:
        """A gateway is there."""
        self._outlets.append(outlet)
        self.changed.notify()

    def leave(self, outlet: Outlet) -> None:
        """A gateway is gone: what it ran is run again."""
        self._outlets.remove(outlet)
        for number in [n for n, each in self._running.items() if each[1] is outlet]:
            deferral, _ = self._running.pop(number)
            self.spawn(self.again, deferral, LOST)
        self.changed.notify()

    def stop(self, which: Callable[[Deferral], bool]) -> None:
        """Stop runs; those that their gateway knows of say what they used."""
        for number, (running, outlet) in list(self._running.items()):
            if not which(running):
                continue
            if running.state == "running":
                outlet.post(Quit(run=number))
            else:
                del self._running[number]

    def ended(self, deferral: Deferral, state: DeferralState, reason: str) -> Deferral:
        """A deferral as it ends now."""
        now = self._parts.clock.wall()
        keep_us = Micros(now + self._parts.bounds.keep_us)
        return replace(
            deferral, state=state, reason=reason, ended_us=now, keep_us=keep_us, body=b""
        )

    def give_out(self) -> None:
        """Begin what may be begun, project by project, at the gateway that runs fewest."""
        running = Counter(each.project for each, _ in self._running.values())
        while self._may_run():
            due = self.ahead.due(self._parts.clock.now(), self._parts.board.serves)
            project = next_project(due, running=running, weights=self.weights, turns=self._turns)
            if project is None:
                return
            deferral = due[project].deferrals.pop(0)
            running[project] += 1
            self._count += 1
            self._turns[project] = self._count
            self._running[-self._count] = (deferral, self._idlest())
            self.spawn(self._start, -self._count)

    def _may_run(self) -> bool:
        """Whether another may be begun: a gateway is there, and what it uses can be recorded."""
        room = len(self._running) < self._parts.bounds.running
        return room and bool(self._outlets) and not self._parts.board.brim.frame.full

    def _idlest(self) -> Outlet:
        busy = [outlet for _, outlet in self._running.values()]
        return min(self._outlets, key=busy.count)

    async def _start(self, number: int) -> None:
        """Write down that it runs, then run it; it may have been cancelled in between."""
        given = self._running.get(number)
        if given is None:
            return
        deferral, outlet = given
        whole = await self.surely(lambda: self._begun(deferral))
        self._parts.failpoints.hit("deferred.started")
        if whole is None:
            self._running.pop(number, None)
        elif number in self._running:
            self._running[number] = (light(whole), outlet)
            outlet.post(Carry(run=number, deferral=whole))

    async def _begun(self, deferral: Deferral) -> Deferral | None:
        """Begin one; what cannot be read any more has failed."""
        try:
            return await self._store.begin(deferral.id)
        except Damaged as error:
            await self._store.end(self.ended(deferral, "failed", error.message))
            return None

    def end(self, carried: Carried) -> None:
        """A run ended, or was handed back."""
        given = self._running.pop(carried.run, None)
        if given is None:
            return
        self.changed.notify()
        deferral, _ = given
        if carried.again_s is None:
            self.spawn(self._finish, deferral, carried)
            return
        self.ahead.pause(deferral, self._parts.clock.now(), carried.again_s)
        self.spawn(self.again, deferral, carried.reason, carried.counted)

    async def again(self, deferral: Deferral, reason: str, counted: bool = True) -> None:  # noqa: FBT001, FBT002  a task's arguments come by place
        """Let it wait once more, or give it up."""
        if counted and deferral.runs >= RUNS:
            said = f"{reason}; it was begun {deferral.runs} times"
            await self.surely(lambda: self._store.end(self.ended(deferral, "failed", said)))
        elif await self.surely(lambda: self._store.hand_back(deferral.id, reason, counted=counted)):
            runs = deferral.runs if counted else max(deferral.runs - 1, 0)
            self.add(replace(deferral, state="queued", reason=reason, runs=runs))

    async def _finish(self, deferral: Deferral, carried: Carried) -> None:
        """Write its answer and what it used, together; then book that."""
        self.ahead.ease(deferral)
        ended = replace(
            self.ended(deferral, carried.state, carried.reason),
            media=carried.media,
            answer=carried.answer,
            usage=carried.usage,
        )
        await self.surely(lambda: self._written(ended))
        self._parts.failpoints.hit("deferred.settled")
        if carried.usage is not None:
            await self.book(deferral.id, carried.usage)
        self.changed.notify()

    async def _written(self, ended: Deferral) -> bool:
        """Write an end; where there is no room for the answer, write that."""
        try:
            return await self._store.end(ended)
        except StorageFull as error:
            said = f"there was no room for its answer: {error.message}"
            return await self._store.end(replace(ended, state="failed", reason=said, answer=b""))

    async def book(self, name: str, usage: UsageRecord) -> None:
        """Put what was used into the outbox, where it counts once however often it comes."""
        await self.surely(lambda: self._parts.outbox.append([usage]))
        self._parts.failpoints.hit("deferred.booked")
        self._parts.booked([usage])
        await self.surely(lambda: self._store.booked(name))

    async def surely(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do it for as long as it takes: a full disk gets room again."""
        told = False
        while True:
            try:
                return await write()
            except LittoralError as error:
                if not told:
                    self._parts.board.say_error("deferrals", error)
                told = True
                await anyio.sleep(TICK)

    def spawn(self, work: Callable[..., Coroutine[object, object, object]], *args: object) -> None:
        """Do something beside, unless the node ends."""
        if self.group is not None:
            self.group.start_soon(work, *args)


def light(deferral: Deferral) -> Deferral:
    """A deferral without its texts."""
    return replace(deferral, body=b"", answer=b"")
