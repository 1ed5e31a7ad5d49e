"""A gateway that is played, with its clients: limits and the flight table are the product's own."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from littoral.domain.endpoint import Endpoint
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import (
    Credit,
    Data,
    Fence,
    Frame,
    Open,
    Pulse,
    Reset,
    Tables,
)
from littoral.domain.units import Seconds
from littoral.lab.calling import Calling
from littoral.lab.guest import Guests
from littoral.lab.late import Late
from littoral.lab.scene import MODELS, Scene
from littoral.lab.till import MOST_TOKENS, Job, Till
from littoral.lab.witness import Answer
from littoral.node.gateway import TICK, GatewayProcess, Launch
from littoral.node.signal import Signal
from littoral.testing.channel import channel_pair

AWAY = 0.25
"""Of all requests, those that go to another node where one may have them."""


class PlayedGateway:
    """One gateway process.

    Args:
        scene: Where it runs, and for whom.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.channel, self._far = channel_pair()
        self.pid = 77
        self._ended = anyio.Event()
        self._till = Till(scene)
        self._late = Late(scene, self._till, self.post)
        self._calling = Calling(scene, self._till, self.post)
        self._guests = Guests(scene, self._till, self.post)
        self._outgoing: deque[Frame] = deque()
        self._posted = Signal()
        self.serves = (0, 0)
        self._fence = 0
        self._news = anyio.Event()

    def stop(self) -> None:
        """Finish and end."""
        self._ended.set()

    def crash(self) -> None:
        """End here."""
        self._ended.set()

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        await self._ended.wait()
        return "killed by signal 9"

    async def live(self) -> None:
        """Serve until it is killed."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, group)
                group.start_soon(self._send)
                group.start_soon(self._pulse)
                group.start_soon(self._clients, group)
                self._late.take_up(group)
                await self._ended.wait()
                group.cancel_scope.cancel()
        except* ChannelClosed:
            pass  # the node is gone
        finally:
            self._till.broken()
            self._scene.hops.died(self._scene.node)

    def post(self, frame: Frame) -> None:
        """Send the node a frame as soon as it takes one."""
        self._outgoing.append(frame)
        self._posted.notify()

    async def _send(self) -> None:
        while True:
            while self._outgoing:
                await self._far.send(self._outgoing.popleft())
            await self._posted.wait()

    async def _hear(self, group: TaskGroup) -> None:
        while True:
            frame = await self._far.receive()
            self._till.take(frame)
            if self._late.take(frame, group):
                continue
            match frame:
                case Open() | Data() | Reset() | Credit():
                    self._take_call(frame, group)
                case Tables():
                    self._serve((frame.snapshot.epoch, frame.snapshot.version))
                case Fence():
                    self._fence = frame.number
                    self._news.set()
                case _:
                    continue

    def _take_call(self, frame: Open | Data | Reset | Credit, group: TaskGroup) -> None:
        """Odd numbers are of streams that we opened, even ones of those that our node did."""
        if isinstance(frame, Open) or not frame.stream % 2:
            self._guests.take(frame, group)
        else:
            self._calling.take(frame)

    def _serve(self, number: tuple[int, int]) -> None:
        if number != self.serves:
            self._scene.served.append(number)
            self._scene.trace.note(f"{self._scene.node} serves {number}")
        self.serves = number
        self._news.set()

    async def _pulse(self) -> None:
        number = 0
        while True:
            number += 1
            pulse = Pulse(
                number=number,
                connections=0,
                in_flight=self._till.open,
                lag_s=Seconds(0.0),
                counters={},
                serves=self.serves,
                fence=self._fence,
            )
            self.post(pulse)
            with anyio.move_on_after(TICK * self._scene.pace):
                await self._news.wait()
            self._news = anyio.Event()

    async def _clients(self, group: TaskGroup) -> None:
        scene = self._scene
        while True:
            await anyio.sleep(scene.traffic.every_s * 2.0 * scene.chance.random())
            if scene.traffic.flows:
                self._ask(group)

    def _ask(self, group: TaskGroup) -> None:
        """A client sends a request: admit it, or say why not."""
        scene, till = self._scene, self._till
        request = scene.next_request()
        grant = till.grant(scene.pick(scene.traffic.keys))
        if grant is None:
            scene.witness.refused["key"] += 1
            return
        if self._late.wants():
            group.start_soon(self._late.ask, request, grant, scene.pick(MODELS) or "")
            return
        tokens_in = 1 + int(100 * scene.chance.random())

        def job_of(endpoint: Endpoint) -> Job:
            return Job(request=request, grant=grant, endpoint=endpoint, tokens_in=tokens_in)

        job = self._calling.choose(job_of) if scene.chance.random() < AWAY else None
        here = scene.pick(till.here()) if job is None else None
        if here is not None:
            job = job_of(here)
        refusal = "place" if job is None else till.begin(job)
        if job is None or refusal:
            scene.witness.refused[refusal] += 1
            return
        scene.witness.begun(request, scene.node)
        group.start_soon(self._answer if here is not None else self._calling.answer, job)

    async def _answer(self, job: Job) -> None:
        """Stream an answer, and settle it."""
        scene, till = self._scene, self._till
        tokens_out = 1 + int((MOST_TOKENS - 1) * scene.chance.random())
        took_s = 0.2 + 0.02 * tokens_out
        await anyio.sleep(took_s / 2)
        till.count(job, tokens_out // 2)
        await anyio.sleep(took_s / 2)
        job.said = tokens_out
        cost = till.settle(job, ok=True, took_s=took_s)
        got = Answer(tokens_in=job.tokens_in, tokens_out=tokens_out, cost=cost)
        scene.witness.answered(job.request, got)
        scene.trace.note(f"{job.request} answered {job.tokens_in}+{tokens_out}")
        self.post(till.report())

    async def end(self) -> None:
        """Take back its end of the channel."""
        await self.channel.close()
        await self._far.close()


def launcher(scene: Scene, running: list[PlayedGateway]) -> Launch:
    """Make what starts gateways; ``running`` holds the one that runs."""

    @asynccontextmanager
    async def launch() -> AsyncGenerator[GatewayProcess]:
        gateway = PlayedGateway(scene)
        running.append(gateway)
        async with anyio.create_task_group() as group:
            group.start_soon(gateway.live)
            try:
                yield gateway
            finally:
                running.remove(gateway)
                group.cancel_scope.cancel()
                await gateway.end()

    def start() -> AbstractAsyncContextManager[GatewayProcess]:
        return launch()

    return start
