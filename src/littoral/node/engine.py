"""One engine under supervision: checked, started, probed, restarted, and never a surprise."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import anyio

from littoral.cost.memory import fit
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Endpoint, EndpointState, EngineSpec, Machine
from littoral.domain.errors import InvalidInput, LittoralError, UnknownName
from littoral.domain.ids import Digest, EndpointId
from littoral.domain.node import Level
from littoral.domain.ports import Chance, Clock, Failpoints, Instance, Registry
from littoral.domain.units import Seconds, Tokens
from littoral.node.backoff import Patience, delay
from littoral.node.board import Board
from littoral.node.memory import Promises
from littoral.node.signal import Signal

PROBE_EVERY = Seconds(2.0)
PROBE_WITHIN = Seconds(30.0)
"""An engine that has not answered for so long hangs; a busy machine is slow to answer, too."""
STEADY = Seconds(60.0)
"""Running for so long forgives earlier crashes."""
CRASH_WINDOW = Seconds(300.0)
BREAK = Seconds(120.0)
"""How long an engine that crashed too often is left alone."""
RECHECK = Seconds(30.0)
"""How often it is looked again whether what was refused is possible now."""
MEGA = 1_000_000
HUNG = "no answer to health checks"
ASKED = "an operator asked for it"

_LEVELS: Mapping[str, Level] = {
    "engine_crashed": "warning",
    "engine_hung": "warning",
    "engine_restarted": "info",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What supervision asks of the world; ``machine`` reads the host, ``promises`` is shared.

    ``locate`` finds a blob, checked, on this node's disk; where it first has to come here it tells
    how far it is.
    """

    registry: Registry
    locate: Callable[[Digest, Callable[[str], None]], Awaitable[str | None]]
    clock: Clock
    chance: Chance
    failpoints: Failpoints
    board: Board
    promises: Promises
    machine: Callable[[], Machine]
    patience: Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Why one life of the engine ended; ``refused`` where it could not even be tried."""

    why: Literal["crashed", "refused", "memory"]
    reason: str


class Supervised:
    """One assignment and the engine that serves it, over all its lives.

    Args:
        assignment: What to run.
        parts: The world.
    """

    def __init__(self, assignment: Assignment, parts: EngineParts) -> None:
        self.assignment = assignment
        self.id = EndpointId(f"{assignment.name}@{assignment.revision}")
        self.changed = Signal()
        self.state: EndpointState = "starting"
        self.short_of_memory = False
        self._parts = parts
        self._again = Signal()
        self._ended = Signal()
        self._crashes: deque[Seconds] = deque(maxlen=parts.patience.crashes or 1)
        self._streak = 0
        self._draining = False
        self._told = ""
        self._role = f"engine:{self.id}"

    async def run(self) -> None:
        """Keep the engine running until cancelled; then it is stopped and forgotten."""
        try:
            while True:
                wait = self._after(await self._life())
                await self._again.wait(at_most_s=wait)
        finally:
            self._parts.promises.release(self.id)
            self._parts.board.put_trouble(self._role, "")
            self._parts.board.drop_endpoint(self.id)

    def drain(self) -> None:
        """Get no new requests from now on."""
        self._draining = True
        self._parts.board.drain_endpoint(self.id)

    def retry(self) -> None:
        """Something changed that may help: do not wait to try again."""
        self._again.notify()

    def restart(self) -> None:
        """End the process; it is started again."""
        self._ended.notify()
        self._again.notify()

    async def _life(self) -> _End:
        parts = self._parts
        began = parts.clock.now()
        try:
            spec = await self._spec()
            driver = parts.registry.engine(self.assignment.engine)
            driver.check(spec)
            async with driver.launch(spec) as instance:
                parts.failpoints.hit("engine.spawned")
                self._is_ready(instance, took=Seconds(parts.clock.now() - began))
                began = parts.clock.now()
                reason = await self._watched(instance)
                self._publish("starting", f"restarting: {reason}")
        except _NoMemory as error:
            return _End(why="memory", reason=error.message)
        except (InvalidInput, UnknownName) as error:
            return _End(why="refused", reason=error.message)
        except LittoralError as error:
            return _End(why="crashed", reason=error.message)
        except OSError as error:  # weights that cannot be read concern this engine alone
            return _End(why="crashed", reason=f"its files cannot be used: {error.strerror}")
        finally:
            parts.promises.release(self.id)
            parts.board.put_pid(self._role, None)
        if parts.clock.now() - began >= STEADY:
            self._streak = 0
        return _End(why="crashed", reason=reason)

    async def _spec(self) -> EngineSpec:
        """Check what can be checked before anything is loaded."""
        assignment, parts = self.assignment, self._parts
        machine = parts.promises.free(parts.machine())
        path: str | None = None
        files: dict[str, str] = {}
        if assignment.artefact is not None:
            artefact = assignment.artefact
            self._publish("starting", f"loading {assignment.model} ({_mega(artefact.size)} MB)")
            found = fit(artefact, machine, slots=assignment.slots, context=assignment.context)
            needed = found.weights + found.cache + found.overhead
            if not found.fits:
                raise _NoMemory(
                    f"{assignment.model} needs {_mega(needed)} MB of memory and "
                    f"{_mega(found.available)} MB are free: {found.advice}"
                )
            path = await self._located(artefact.digest)
            for file in artefact.files:
                files[file.name] = await self._located(file.digest)
            parts.promises.load(self.id, needed)
            assignment = replace(assignment, slots=found.slots, context=Tokens(found.context))
        else:
            self._publish("starting", f"starting {assignment.engine}")
        return EngineSpec(
            assignment=assignment,
            artefact_path=path,
            files=files,
            machine=machine,
            threads=machine.cores,
        )

    async def _located(self, digest: Digest) -> str:
        path = await self._parts.locate(digest, partial(self._publish, "starting"))
        if path is None:
            raise UnknownName(f"the weights {digest} are not on this node (any more)")
        return path

    def _is_ready(self, instance: Instance, *, took: Seconds) -> None:
        parts, name = self._parts, self.assignment.name
        parts.promises.run(self.id)
        parts.board.put_pid(self._role, instance.pid)
        self._publish("ready", "", seen=instance.endpoint)
        parts.board.say(f"deployment/{name}", "engine_ready", f"{name} is ready after {took:.1f} s")
        self._told = ""
        parts.board.put_trouble(self._role, "")

    async def _watched(self, instance: Instance) -> str:
        """Return why the engine ended, or that it hangs."""
        ends: list[str] = []
        async with anyio.create_task_group() as group:

            async def ended() -> None:
                ends.append(await instance.wait())
                group.cancel_scope.cancel()

            async def hangs() -> None:
                await self._unanswered(instance)
                patience_s = PROBE_WITHIN * self._parts.patience.pace
                ends.append(f"{HUNG} for {patience_s:.0f} s")
                group.cancel_scope.cancel()

            async def asked() -> None:
                await self._ended.wait()
                ends.append(ASKED)
                group.cancel_scope.cancel()

            group.start_soon(ended)
            group.start_soon(asked)
            group.start_soon(hangs)
        return ends[0]

    async def _unanswered(self, instance: Instance) -> None:
        clock, pace = self._parts.clock, self._parts.patience.pace
        answered = clock.now()
        while clock.now() - answered < PROBE_WITHIN * pace:
            await anyio.sleep(PROBE_EVERY * pace)
            with anyio.move_on_after(PROBE_WITHIN * pace):
                if await instance.healthy():
                    answered = clock.now()

    def _after(self, end: _End) -> Seconds:
        """Publish what comes of an end, and say how long to wait before trying again."""
        self.short_of_memory = end.why == "memory"
        if end.why != "crashed":
            self._publish("failed", end.reason)
            self._tell("engine_failed", end.reason)
            return RECHECK
        limit = self._parts.patience.crashes
        now = self._parts.clock.now()
        self._crashes.append(now)
        if len(self._crashes) == limit and now - self._crashes[0] < CRASH_WINDOW:
            self._crashes.clear()
            text = f"crashed {limit} times in 5 minutes; next try in {BREAK:.0f} s: {end.reason}"
            self._publish("degraded", text)
            self._tell("engine_degraded", text)
            return BREAK
        longest = self._parts.patience.longest_s
        wait = delay(self._streak, cap_s=longest, chance=self._parts.chance)
        self._streak += 1
        self._publish("starting", f"next try in {wait:.1f} s: {end.reason}")
        self._tell(_code_of(end.reason), end.reason)
        return wait

    def _tell(self, code: str, reason: str) -> None:
        """Say it once, not with each vain try."""
        if (text := f"{code} {reason}") != self._told:
            self._told = text
            name = self.assignment.name
            level = _LEVELS.get(code, "error")
            self._parts.board.put_trouble(self._role, f"{name} does not run: {reason}")
            self._parts.board.say(f"deployment/{name}", code, f"{name}: {reason}", level=level)

    def _publish(self, state: EndpointState, reason: str, *, seen: Endpoint | None = None) -> None:
        self.state = state
        assignment = self.assignment
        endpoint = seen or Endpoint(
            id=self.id,
            deployment=assignment.name,
            serves=assignment.serves,
            engine=assignment.engine,
            state=state,
            slots=assignment.slots or 1,
            context=assignment.context or Tokens(0),
            max_tokens=assignment.max_tokens,
            price_in=assignment.price_in,
            price_out=assignment.price_out,
        )
        self._parts.board.put_endpoint(replace(endpoint, id=self.id, state=state, reason=reason))
        if self._draining:
            self._parts.board.drain_endpoint(self.id)
        self.changed.notify()


class _NoMemory(LittoralError):
    """The model does not fit into the memory that is free now."""


def _mega(size: int) -> int:
    return -(-size // MEGA)


def _code_of(reason: str) -> str:
    """The code of an event that says why an engine ended."""
    if reason == ASKED:
        return "engine_restarted"
    return "engine_hung" if reason.startswith(HUNG) else "engine_crashed"
