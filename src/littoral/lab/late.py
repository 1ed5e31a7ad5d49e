"""Late: clients that can wait, and a played gateway that keeps, runs and shows what they ask.

The node's side is the product's: it keeps requests, gives them out, and books what they used.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import anyio
from anyio.abc import TaskGroup

from littoral.domain.deferral import AHEAD, Deferral, deferral_id
from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import UnknownName
from littoral.domain.flight import GUEST
from littoral.domain.local import LookAct
from littoral.domain.project import KeyGrant
from littoral.domain.session import Carried, Carry, Defer, Frame, Look, Quit, Shelved
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.gateway.refusal import Refusal
from littoral.gateway.wire.shelf import Shelf
from littoral.lab.promise import Promise, Waiting
from littoral.lab.scene import Scene
from littoral.lab.till import MOST_TOKENS, Job, Till

PATIENCE: Final = Seconds(30.0)
"""How long a client waits for the node to keep its request."""
ASKS_EVERY: Final = Seconds(600.0)
"""How often, at most, a client asks how its request stands."""
LOOKS: Final = 2
"""How often it asks for one that has ended: it shall be the same each time."""
EXPIRES_US: Final = 12 * HOUR_US
AGAIN: Final = Seconds(2.0)
SHARE: Final = 0.15
"""Of all clients, those that meet a busy engine and can wait."""
Send = Callable[[Frame], object]


class Late:
    """Deferred requests, as one gateway sees them.

    Args:
        scene: Where it runs.
        till: What it charges.
        send: Sends a frame to the node.
    """

    def __init__(self, scene: Scene, till: Till, send: Send) -> None:
        self._scene = scene
        self._till = till
        self._send = send
        self._shelf = Shelf()
        self._shelf.send = send
        self._runs: dict[int, anyio.CancelScope] = {}
        self._used: dict[int, UsageRecord | None] = {}

    def take(self, frame: Frame, group: TaskGroup) -> bool:
        """Take a frame of deferrals; False where it is another one."""
        match frame:
            case Shelved():
                self._shelf.take(frame)
            case Carry():
                group.start_soon(self._run, frame)
            case Quit():
                scope = self._runs.get(frame.run)
                if scope is not None:
                    scope.cancel()
            case _:
                return False
        return True

    # its clients

    def wants(self) -> bool:
        """Whether the next client is one that can wait."""
        return self._scene.chance.random() < SHARE

    def take_up(self, group: TaskGroup) -> None:
        """Clients of the gateway before this one come here."""
        for each in list(self._scene.waiting.values()):
            group.start_soon(self._serve, each)

    async def ask(self, request: str, grant: KeyGrant, model: str) -> None:
        """Defer a request, then see how it ends."""
        scene, now = self._scene, self._till.wall()
        asked = Waiting(
            Deferral(
                id=deferral_id(request),
                project=grant.project,
                key=grant.id,
                path="/v1/chat/completions",
                model=model,
                accepted_us=now,
                expires_us=Micros(now + EXPIRES_US),
                keep_us=Micros(now + EXPIRES_US),
                idempotency=f"once {request}" if scene.chance.random() < 0.5 else "",
                digest=f"of {request}",
                body=b"%s asks %s" % (request.encode(), model.encode()),
            )
        )
        scene.waiting[asked.deferral.id] = asked
        scene.witness.deferred(asked.deferral.request, scene.node)
        await self._serve(asked)

    async def _serve(self, asked: Waiting) -> None:
        """Let it be kept, then ask how it stands until it has ended, and once more later."""
        scene = self._scene
        if asked.promise is None:
            await self._offer(asked)
        looks = 0
        while asked.promise is not None and looks < LOOKS:
            looks += await self._is_over(asked.promise)
            await anyio.sleep(ASKS_EVERY * scene.chance.random())
        scene.waiting.pop(asked.deferral.id, None)

    async def _offer(self, asked: Waiting) -> None:
        """Offer it once; again, after silence, only where it has an idempotency key."""
        scene = self._scene
        while True:
            again = f".{asked.tries}" if asked.tries else ""
            deferral = replace(asked.deferral, id=asked.deferral.id + again)
            scene.witness.deferred(deferral.request, scene.node)
            first, asked.tries = not asked.tries, asked.tries + 1
            if not first and not deferral.idempotency:
                break  # it was offered to a gateway that is gone; it may be kept
            told = await self._told(lambda number: Defer(number=number, deferral=deferral))  # noqa: B023  used before the next round
            if isinstance(told, Shelved):
                (kept,) = told.deferrals
                scene.trace.note(f"{kept.id} is kept")
                asked.promise = scene.promises.kept(kept, scene.node)
            if told is not None:
                break
        if asked.promise is None:
            scene.witness.refused["unkept"] += 1

    async def _is_over(self, promise: Promise) -> bool:
        """Ask how it stands; what has ended is shown with its answer."""
        told = await self._look(promise, "show")
        if told is None or told.state in AHEAD:
            return False
        whole = await self._look(promise, "thread")
        if whole is not None:
            self._scene.promises.told(promise, whole)
        return whole is not None

    async def _look(self, promise: Promise, act: LookAct) -> Deferral | None:
        found = await self._told(
            lambda n: Look(number=n, project=promise.project, response=promise.name, act=act)
        )
        if isinstance(found, Refusal) and found.status == UnknownName.status:
            self._scene.promises.missing(promise)
        return found.deferrals[0] if isinstance(found, Shelved) else None

    async def _told(self, question: Callable[[int], Frame]) -> Shelved | Refusal | None:
        """What the node answers; None where it says nothing in time."""
        came, said = anyio.Event(), list[Shelved | Refusal]()

        def heard(answer: Shelved | Refusal) -> None:
            said.append(answer)
            came.set()

        number = self._shelf.ask(question, heard)
        with anyio.move_on_after(PATIENCE):
            await came.wait()
        self._shelf.forget(number)
        return next(iter(said), None)

    # its runs

    async def _run(self, frame: Carry) -> None:
        """Ask an engine for a deferred request, and say what came of it."""
        carried: Carried | None = None
        with anyio.CancelScope() as scope:
            self._runs[frame.run] = scope
            carried = await self._carried(frame)
        self._runs.pop(frame.run, None)
        usage = self._used.pop(frame.run, None)
        self._send(self._till.report())
        self._send(carried or Carried(run=frame.run, state="cancelled", usage=usage))

    async def _carried(self, frame: Carry) -> Carried:
        scene, till, deferral = self._scene, self._till, frame.deferral
        grant = till.grant(deferral.key)
        if grant is None:
            return Carried(run=frame.run, state="failed", reason="its key is revoked or unknown")
        endpoint = scene.pick([each for each in till.here() if each.serves == deferral.model])
        if endpoint is None:
            return self._later(frame, "no engine is ready")
        job = self._job(deferral, grant, endpoint, run=-frame.run)
        refusal = till.begin(job)
        if refusal:
            return self._later(frame, f"there is no room: {refusal}")
        tokens = 1 + int((MOST_TOKENS - 1) * scene.chance.random())
        try:
            await anyio.sleep(0.2 + 0.02 * tokens)
            job.said = tokens
        finally:
            till.settle(job, ok=job.said > 0, took_s=0.2 + 0.02 * tokens)
            usage = self._used[frame.run] = till.record(job)
        answer = b"%s: %d tokens" % (deferral.body, tokens)
        scene.promises.ran(deferral, answer, usage)
        return Carried(
            run=frame.run, state="completed", media="text/plain", answer=answer, usage=usage
        )

    def _job(self, deferral: Deferral, grant: KeyGrant, endpoint: Endpoint, *, run: int) -> Job:
        return Job(
            request=deferral.request,
            grant=grant,
            endpoint=endpoint,
            tokens_in=len(deferral.body),
            kind=GUEST,
            run=run,
        )

    def _later(self, frame: Carry, reason: str) -> Carried:
        return Carried(run=frame.run, state="queued", reason=reason, again_s=AGAIN)
