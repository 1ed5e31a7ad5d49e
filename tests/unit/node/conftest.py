"""A node's surroundings in memory: obedient drivers and the twins of the ports."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Address, Endpoint, EngineSpec, Machine
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import DeploymentName, Digest, EndpointId, NodeId
from littoral.domain.model import Artefact, Facts
from littoral.domain.ports import Outbox
from littoral.domain.units import Bytes
from littoral.node.backoff import Patience
from littoral.node.board import Board
from littoral.node.carrying import DeferralBounds, DeferralParts
from littoral.node.converge import Converger
from littoral.node.deferral import Deferrals
from littoral.node.engine import EngineParts
from littoral.node.limits import LimitRows
from littoral.node.memory import Promises
from littoral.node.previous import Previous
from littoral.node.sharing import Sharing
from littoral.testing.chance import SeededChance
from littoral.testing.deferrals import MemoryDeferrals
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.quota import quota_table
from littoral.testing.sink import ListSink

GIGA = 1 << 30


@dataclass
class Engine:
    """A running engine that a test can crash or make hang."""

    spec: EngineSpec
    pid: int
    well: bool = True
    ended: anyio.Event = field(default_factory=anyio.Event)
    stopped: bool = False

    @property
    def endpoint(self) -> Endpoint:
        assignment = self.spec.assignment
        return Endpoint(
            id=EndpointId(assignment.name),
            deployment=assignment.name,
            serves=assignment.serves,
            engine=assignment.engine,
            state="ready",
            address=Address(host="127.0.0.1", port=self.pid),
            slots=assignment.slots or 1,
        )

    async def healthy(self) -> bool:
        return self.well

    async def wait(self) -> str:
        await self.ended.wait()
        return "killed by signal 9"

    def crash(self) -> None:
        self.ended.set()


class Driver:
    """Starts engines; a test may make it refuse, fail or take its time."""

    def __init__(self) -> None:
        self.started: list[Engine] = []
        self.refuses: str | None = None
        self.fails: Callable[[], bool] = lambda: False
        self.takes_s = 1.0

    @property
    def live(self) -> list[Engine]:
        return [each for each in self.started if not each.stopped]

    def check(self, _spec: EngineSpec) -> None:
        if self.refuses:
            raise InvalidInput(self.refuses)

    @asynccontextmanager
    async def launch(self, spec: EngineSpec):
        await anyio.sleep(self.takes_s)
        if self.fails():
            raise UpstreamFailed("it did not come up")
        engine = Engine(spec, pid=1000 + len(self.started))
        self.started.append(engine)
        try:
            yield engine
        finally:
            engine.stopped = True


class Registry:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def engine(self, _kind: str) -> Driver:
        return self.driver

    def source(self, scheme: str) -> None:
        raise AssertionError(scheme)


async def idle(_endpoint: str) -> None:
    """No request is under way."""


class Surroundings:
    """Everything that engines and their supervision need."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.disk = MemoryDisk()
        self.chance = SeededChance(7)
        self.sink = ListSink()
        self.driver = Driver()
        self.failpoints = ArmedFailpoints()
        self.pids: dict[str, int] = {}
        self.machine = Machine(cores=2, memory=Bytes(8 * GIGA), memory_free=Bytes(4 * GIGA))
        self.blobs: dict[Digest, str] = {}
        self.deferred = MemoryDeferrals(self.clock)
        self.board = Board(clock=self.clock, sink=self.sink, report=self._report)

    def _report(self, pids: dict[str, int]) -> None:
        self.pids = pids

    def start_board(self) -> None:
        """Begin another life: what waits for changes belongs to one loop."""
        held = self.board.snapshot
        self.board = Board(clock=self.clock, sink=self.sink, report=self._report)
        if held is not None:
            self.board.put_snapshot(held)

    def deferrals(self, outbox: Outbox | None = None, **bounds: Any) -> Deferrals:
        """Deferrals of a node in memory; ``self.deferred`` is where they are."""
        parts = DeferralParts(
            store=self.deferred,
            outbox=outbox or MemoryOutbox(),
            clock=self.clock,
            board=self.board,
            failpoints=self.failpoints,
            booked=lambda _records: None,
            bounds=DeferralBounds(**bounds),
        )
        return Deferrals(parts)

    async def _locate(self, digest: Digest, _tell: Callable[[str], None]) -> str | None:
        return self.blobs.get(digest)

    def sharing(self, clock: Any) -> Sharing:
        rows = LimitRows(quota_table(mine=0), clock)
        return Sharing(
            NodeId("nd_me"), rows, disk=MemoryDisk(), board=self.board, failpoints=self.failpoints
        )

    def parts(self) -> EngineParts:
        return EngineParts(
            registry=Registry(self.driver),
            locate=self._locate,
            clock=self.clock,
            chance=self.chance,
            failpoints=self.failpoints,
            board=self.board,
            promises=Promises(),
            machine=lambda: self.machine,
            patience=Patience(),
        )

    def previous(self) -> Previous:
        """What served before, as a new process finds it."""
        return Previous(self.disk, self.clock, board=self.board, failpoints=self.failpoints)

    def converging(
        self, script: Callable[[Converger], Awaitable[None]], wait: Callable[..., Any] = idle
    ) -> None:
        """Run a script beside a converger of a new process."""

        async def main() -> None:
            converger = Converger(self.parts(), idle=wait, previous=self.previous())
            async with anyio.create_task_group() as group:
                group.start_soon(converger.run)
                await anyio.lowlevel.checkpoint()
                await script(converger)
                group.cancel_scope.cancel()

        simulate(main)

    def endpoints(self) -> dict[str, Endpoint]:
        return {each.id: each for each in self.board.status().endpoints}


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def assign() -> Callable[..., Assignment]:
    def make(name: str = "chat", *, revision: int = 1, size: int = 0) -> Assignment:
        return Assignment(
            name=DeploymentName(name),
            revision=revision,
            serves=name,
            engine="llama_cpp" if size else "fake",
            model=name,
            artefact=artefact(size) if size else None,
        )

    return make


def artefact(size: int) -> Artefact:
    return Artefact(
        digest=Digest("sha256:" + f"{size:064x}"),
        size=Bytes(size),
        facts=Facts(
            architecture="llama",
            parameters=size,
            context=4096,
            layers=2,
            kv_bytes_per_token=Bytes(1000),
            quantisation="Q4_0",
            has_chat_template=True,
        ),
    )
