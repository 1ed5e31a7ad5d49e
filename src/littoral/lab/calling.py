"""Calling: requests of a played gateway that engines of other nodes answer.

Streams, their flow and their ends are the product's own; what is played is who asks, and what.
"""

import math
from collections.abc import Callable
from typing import Final, cast

import anyio

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import RequestId
from littoral.domain.session import Credit, Data, Frame, Reset
from littoral.domain.stream import CallHead, Via
from littoral.gateway.wire.calls import Calls
from littoral.gateway.wire.remote import Remote
from littoral.gateway.wire.upstream import Engine, Pool
from littoral.lab.hop import PROJECTS, Hops
from littoral.lab.scene import Scene
from littoral.lab.till import Job, Till
from littoral.lab.witness import Answer

DEADLINE: Final = 60.0
CARELESS: Final = 0.2
"""So many gateways look at no residency: others must refuse what they send."""
OK: Final = 200
PATH: Final = "/v1/chat/completions"


def asked(request: str, size: int) -> bytes:
    """The body of a request."""
    line = f"{request} ".encode()
    return (line * (size // len(line) + 1))[:size]


def answered(request: str, tokens: int) -> bytes:
    """What an engine answers: so long that a large answer needs leave to go on."""
    return f"{request}: {tokens};".encode() * tokens


class _Caller:
    """Whoever waits for the answer; hears the end once."""

    def __init__(self, hops: Hops, request: str) -> None:
        self._hops = hops
        self._request = request
        self._pieces: list[bytes] = []
        self.over = anyio.Event()
        self.lost = ""

    def engine_read(self, engine: Engine) -> None:
        """New bytes of the reply came, or it is complete."""
        self._pieces.append(engine.take())
        if not engine.complete:
            return
        used = engine.counted
        if used is not None:
            whole = answered(self._request, used.tokens_out)
            self._hops.compare(self._request, same=b"".join(self._pieces) == whole)
        self.end("answered" if engine.status == OK else f"refused {engine.status}")

    def engine_lost(self, engine: Engine, reason: str) -> None:
        """The call is over without a whole answer."""
        self.lost = reason
        self.end("severed" if engine.severed else "broken")

    def end(self, how: str) -> None:
        """It is over."""
        self._hops.ended(self._request, how)
        self.over.set()


class Calling:
    """The calls of one gateway.

    Args:
        scene: Where it runs.
        till: What it charges.
        send: Sends a frame to the node.
    """

    def __init__(self, scene: Scene, till: Till, send: Callable[[Frame], object]) -> None:
        self._scene = scene
        self._till = till
        self._calls = Calls()
        self._calls.send = self._send = send

    def take(self, frame: Data | Reset | Credit) -> None:
        """Take a frame of a call that was made here."""
        self._calls.take(frame)

    def choose(self, job_of: Callable[[Endpoint], Job]) -> Job | None:
        """A request for an engine of another node; None where there is none that may have it."""
        scene, every = self._scene, self._till.elsewhere()
        careless = scene.chance.random() < CARELESS
        endpoint = scene.pick(every)
        if endpoint is None:
            return None
        job = job_of(endpoint)
        if self._may(job) or careless:
            return job
        near = [each for each in every if self._may(job_of(each))]
        return job_of(near[0]) if near else None

    def _may(self, job: Job) -> bool:
        """Whether a gateway sends this request there, by what its node knows."""
        return self._till.residency(job.grant.project) in _via(job).within

    async def answer(self, job: Job) -> None:
        """Call, and settle what came of it."""
        scene, till, hops = self._scene, self._till, self._scene.hops
        if not self._may(job):
            hops.counts["careless"] += 1
        body = asked(job.request, 1 + int(150_000 * scene.chance.random() ** 4))
        caller = _Caller(hops, job.request)
        remote = Remote(cast("Pool", None), caller, self._calls)  # a call uses no pool
        hops.began(job.request, scene.node)
        began = scene.clock.now()
        remote.call(self._head(job, size=len(body)), body)
        with anyio.move_on_after(DEADLINE):
            await caller.over.wait()
        if not caller.over.is_set():
            remote.abort()
            caller.end("late")
        counted = remote.counted if remote.complete and remote.status == OK else None
        good = counted is not None
        if counted is not None:
            job.said = counted.tokens_out
        cost = till.settle(job, ok=good, took_s=min(scene.clock.now() - began, DEADLINE))
        if good:
            got = Answer(tokens_in=job.tokens_in, tokens_out=job.said, cost=cost)
            scene.witness.answered(job.request, got)
        scene.trace.note(f"{job.request} called {_via(job).node}: {good} {caller.lost}")
        self._send(till.report())

    def _head(self, job: Job, *, size: int) -> CallHead:
        via = _via(job)
        if PROJECTS.get(job.grant.project) is None:
            raise AssertionError(f"{job.grant.project} is no project of a simulation")
        return CallHead(
            to=via.node,
            origin=via.node,
            via=via.path,
            path=PATH,
            request=RequestId(job.request),
            project=job.grant.project,
            key=job.grant.id,
            deployment=job.endpoint.deployment,
            model=job.endpoint.serves,
            size=size,
            deadline_ms=math.ceil(DEADLINE * 1000),
        )


def _via(job: Job) -> Via:
    if job.endpoint.via is None:
        raise AssertionError(f"{job.endpoint.id} is an engine of this node")
    return job.endpoint.via
