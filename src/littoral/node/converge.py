"""Converge: from what the snapshot asks for and what runs, to what starts and what stops."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from littoral.domain.deployment import Assignment
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import DeploymentName, Digest, EndpointId
from littoral.node.engine import EngineParts, Supervised
from littoral.node.previous import Previous, blobs_of
from littoral.node.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now: ``replace`` holds new revisions of what runs."""

    start: tuple[Assignment, ...]
    stop: tuple[DeploymentName, ...]
    replace: tuple[Assignment, ...]


def plan(desired: Sequence[Assignment], running: Mapping[DeploymentName, int]) -> Plan:
    """Compare what should run with the revisions that do.

    Small models first: they answer while big ones load.
    """
    ordered = sorted(desired, key=_weight)
    wanted = {assignment.name for assignment in desired}
    return Plan(
        start=tuple(each for each in ordered if each.name not in running),
        stop=tuple(sorted(name for name in running if name not in wanted)),
        replace=tuple(
            each for each in ordered if running.get(each.name, each.revision) != each.revision
        ),
    )


def _weight(assignment: Assignment) -> tuple[int, str]:
    return (0 if assignment.artefact is None else assignment.artefact.size, assignment.name)


class Converger:
    """Runs the plan: one task an engine, each change taken when it comes.

    Args:
        parts: What engines need.
        idle: Waits until no request is open on an endpoint.
        previous: Knows what served before, and what was left.
    """

    def __init__(
        self,
        parts: EngineParts,
        *,
        idle: Callable[[EndpointId], Awaitable[None]],
        previous: Previous,
    ) -> None:
        self._parts = parts
        self._idle = idle
        self._previous = previous
        self._wishes: Sequence[Assignment] = ()
        self._desired: Sequence[Assignment] = ()
        self._wanted = Signal()
        self._running: dict[DeploymentName, _Running] = {}

    def want(self, desired: Sequence[Assignment], *, first: bool = False) -> None:
        """Take a new desired state; ``first``: begin with what served before the restart."""
        self._wishes = desired
        choose = self._previous.proven if first else self._previous.chosen
        self._desired = choose(desired)
        self._wanted.notify()

    def go_on(self) -> None:
        """After a restart: what is wanted now may follow what served before it."""
        self.want(self._wishes)

    def undo(self, name: DeploymentName, *, why: str) -> None:
        """Leave what a deployment runs for what served before it. Raises ``InvalidInput``."""
        running = self._running.get(name)
        if running is None:
            known = ", ".join(self.names) or "none"
            raise InvalidInput(f"deployment: {name!r} does not run here; known: {known}")
        self._previous.undo(name, running=running.engine.assignment, why=why)
        self.want(self._wishes)

    def blobs(self) -> frozenset[Digest]:
        """Blobs of what is wanted, runs, or served before until a day ago."""
        running = [each.engine.assignment for each in self._running.values()]
        named = {each for item in (*self._wishes, *running) for each in blobs_of(item)}
        return self._previous.digests() | named

    @property
    def names(self) -> tuple[DeploymentName, ...]:
        """What runs here, or tries to."""
        return tuple(sorted(self._running))

    def restart(self, name: DeploymentName) -> bool:
        """Restart an engine; False where it does not run here."""
        running = self._running.get(name)
        if running is not None:
            running.engine.restart()
        return running is not None

    async def run(self) -> None:
        """Converge until cancelled; then every engine is stopped."""
        async with anyio.create_task_group() as group:
            while True:
                self._converge(group)
                await self._wanted.wait()

    def _converge(self, group: TaskGroup) -> None:
        revisions = {name: each.engine.assignment.revision for name, each in self._running.items()}
        now = plan(self._desired, revisions)
        for name in now.stop:
            group.start_soon(self._let_go, self._running.pop(name))
        for assignment in now.start:
            self._running[assignment.name] = self._begin(assignment, group)
        for assignment in now.replace:
            old = self._running[assignment.name]
            new = self._running[assignment.name] = self._begin(assignment, group)
            group.start_soon(self._hand_over, old, new)

    def _begin(self, assignment: Assignment, group: TaskGroup) -> "_Running":
        engine = Supervised(assignment, self._parts)
        running = _Running(engine=engine, scope=anyio.CancelScope(), gone=anyio.Event())
        group.start_soon(running.run)
        group.start_soon(self._watch, running)
        return running

    async def _watch(self, running: "_Running") -> None:
        """Note what serves; leave what fails again and again for what served before it."""
        engine, seen = running.engine, ""
        while not running.gone.is_set():
            before, seen = seen, engine.state
            if seen == "ready" and before != "ready":
                self._previous.served(engine.assignment)
            elif seen == "degraded" and before != "degraded" and self._is_to_leave(engine):
                self.undo(engine.assignment.name, why="it crashes again and again")
            await engine.changed.wait()

    def _is_to_leave(self, engine: Supervised) -> bool:
        """Whether it is the one that serves, and something else served before it."""
        running = self._running.get(engine.assignment.name)
        current = running is not None and running.engine is engine
        return current and self._previous.can_undo(engine.assignment)

    async def _hand_over(self, old: "_Running", new: "_Running") -> None:
        """Let the old serve until the new one does, unless there is no room for both.

        A new revision that cannot run leaves the old one serving, and says why.
        """
        engine = new.engine
        while engine.state != "ready" and not engine.short_of_memory:
            if new.scope.cancel_called:
                break
            await engine.changed.wait()
        await self._let_go(old)
        engine.retry()

    async def _let_go(self, running: "_Running") -> None:
        running.engine.drain()
        with anyio.move_on_after(self._parts.patience.drain_s):
            await self._idle(running.engine.id)
        running.scope.cancel()
        running.engine.changed.notify()
        await running.gone.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A supervised engine, the scope that ends it, and the event that it has ended."""

    engine: Supervised
    scope: anyio.CancelScope
    gone: anyio.Event

    async def run(self) -> None:
        """Supervise until the scope is cancelled."""
        with self.scope:
            await self.engine.run()
        self.gone.set()
        self.engine.changed.notify()
