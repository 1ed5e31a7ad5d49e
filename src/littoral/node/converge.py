"""Converge: from what the snapshot asks for and what runs, to what starts and what stops."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.node.engine import EngineParts, Supervised
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
    """

    def __init__(
        self, parts: EngineParts, *, idle: Callable[[EndpointId], Awaitable[None]]
    ) -> None:
        self._parts = parts
        self._idle = idle
        self._desired: Sequence[Assignment] = ()
        self._wanted = Signal()
        self._running: dict[DeploymentName, _Running] = {}

    def want(self, desired: Sequence[Assignment]) -> None:
        """Take a new desired state."""
        self._desired = desired
        self._wanted.notify()

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
        return running

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
