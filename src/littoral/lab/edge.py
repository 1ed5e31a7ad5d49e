"""Edge: one simulated edge: a box, a link, and one life of the real node after the other."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, cast

import anyio
from anyio import lowlevel

from littoral.domain.endpoint import Endpoint, Machine
from littoral.domain.enrolment import Inventory
from littoral.domain.errors import UnknownName, UpstreamFailed
from littoral.domain.flight import SLOT_BYTES, read
from littoral.domain.ids import NodeId
from littoral.domain.ports import Chance
from littoral.domain.snapshot import Anchors
from littoral.domain.units import Bytes, Seconds
from littoral.lab.box import SLOTS, Box
from littoral.lab.engine import PlayedDriver
from littoral.lab.gateway import PlayedGateway, Scene, Traffic, launcher
from littoral.lab.life import Killed, Life
from littoral.lab.trace import Trace
from littoral.lab.wan import EdgeNetwork, Link, Wan
from littoral.lab.witness import Witness
from littoral.node.backoff import Patience
from littoral.node.gateway import Launch
from littoral.node.identity import Identity
from littoral.node.parts import NodeParts
from littoral.node.serve import serve
from littoral.node.tending import Tools
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.sink import ListSink

ADDRESS = "control"
DOWN = Seconds(20.0)
"""How long a killed node is away, at most; power comes back later."""
GIGA = 1 << 30
Serve = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """What all edges of a fleet share. ``serve`` is the node's, unless a test broke it."""

    wan: Wan
    trace: Trace
    witness: Witness
    passes: Counter[str]
    pace: float
    anchors: Callable[[], Anchors | None]
    serve: Serve = serve


@dataclass(slots=True, kw_only=True)
class Edge:
    """One edge.

    Attributes:
        served: (epoch, version) of every snapshot its gateways served from, in order.
        faults: What ended a life without having been told to.
    """

    name: NodeId
    box: Box
    link: Link
    chance: Chance
    traffic: Traffic
    country: Country
    served: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    faults: list[str] = field(default_factory=list[str])
    gateways: list[PlayedGateway] = field(default_factory=list[PlayedGateway])
    lives: int = 0
    clock_lied: bool = False
    life: Life = field(init=False)
    driver: PlayedDriver = field(init=False)
    _scope: anyio.CancelScope = field(init=False)
    _numbers: list[int] = field(default_factory=lambda: [0])
    _away: Seconds = Seconds(0.0)
    _back: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.life = self._new_life()
        self.driver = PlayedDriver(self.chance)
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Live again and again."""
        while True:
            await self._live()
            with anyio.move_on_after(self._away):
                await self._back.wait()
            self.link.heal("off")

    @property
    def serves(self) -> tuple[int, int]:
        """(epoch, version) that its gateway serves from; (0, 0) where there is none."""
        return self.gateways[-1].serves if self.gateways else (0, 0)

    # what happens to it

    def come_back(self) -> None:
        """Power is back, if it was gone."""
        back, self._back = self._back, anyio.Event()
        back.set()

    def kill_gateway(self) -> None:
        """End its gateway alone."""
        for gateway in self.gateways:
            gateway.crash()

    def crash_engine(self) -> None:
        """End one of its engines."""
        for engine in list(self.driver.running.values())[:1]:
            engine.crash()

    def kill(self) -> None:
        """End every process of it; its files are as they were, its kernel says goodbye."""
        self._end(Seconds(DOWN * self.chance.random()))

    def _end(self, away: Seconds) -> None:
        self.life.over = True
        self._away = away
        self._scope.cancel()

    def lose_power(self, away: Seconds) -> None:
        """End every process of it; what was not synced is gone, and nobody says goodbye."""
        self.country.witness.power_lost(self._under_way())
        self.link.lose_power()
        self.box.lose_power()
        self._end(away)

    def _under_way(self) -> list[str]:
        memory = memoryview(self.box.flights)
        found = [read(memory, slot) for slot in range(SLOTS) if memory[slot * SLOT_BYTES]]
        return [each.record.request for each in found if each is not None]

    # its lives

    def _new_life(self) -> Life:
        return Life(
            lambda text: self.country.trace.note(f"{self.name} {text}"), self.country.passes
        )

    async def _live(self) -> None:
        self.lives += 1
        self.life, self._scope = self._new_life(), anyio.CancelScope()
        self.box.begin(self.life)
        self.country.trace.note(f"{self.name} begins life {self.lives}")
        try:
            with self._scope:
                await self.country.serve(self._parts(), stop=anyio.Event())
        except* Killed:
            self._away = Seconds(DOWN * self.chance.random())
        except* Exception as group:  # noqa: BLE001  what a process would die of
            self._crashed(group)
        self.life.over = True
        self.country.trace.note(f"{self.name} ends")

    def _crashed(self, group: ExceptionGroup[Exception]) -> None:
        if not self.life.injected:
            self.faults.append(f"{self.name} ended by itself: {_causes(group)}")
        self.country.trace.note(f"{self.name} crashed")
        self._away = Seconds(DOWN * self.chance.random())

    def _parts(self) -> NodeParts:
        box, life = self.box, self.life
        self.driver = PlayedDriver(self.chance)
        return NodeParts(
            identity=Identity(node=self.name, name=self.name, boot=f"b{self.lives}", build="0"),
            network=EdgeNetwork(self.country.wan, self.link, life),
            session=ADDRESS,
            registry=self.driver,
            blobs=MemoryBlobs(),
            outbox=box.outbox,
            responses=box.responses,
            deferrals=box.deferrals,
            disk=box.disk,
            clock=box.clock,
            chance=self.chance,
            failpoints=life,
            sink=ListSink(),
            unpack=self.country.wan.wire.unpack,
            anchors=self.country.anchors,
            flights=[memoryview(box.flights)],
            quota=box.quota(0),
            gateways=[self._gateway()],
            machine=lambda: MACHINE,
            tools=Tools(inventory=lambda: Inventory(cores=2), tail=_no_log, probe=_no_probe),
            report=lambda _pids: None,
            patience=Patience(pace=self.country.pace),
        )

    def _gateway(self) -> Launch:
        scene = Scene(
            node=self.name,
            box=self.box,
            life=self.life,
            clock=self.box.clock,
            chance=self.chance,
            trace=self.country.trace,
            witness=self.country.witness,
            traffic=self.traffic,
            served=self.served,
            numbers=self._numbers,
            pace=self.country.pace,
        )
        return launcher(scene, self.gateways)


def _no_log(role: str, lines: int) -> str:
    raise UnknownName(f"there is no log of {role!r} with {lines} lines in a simulation")


async def _no_probe(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> NoReturn:
    await lowlevel.checkpoint()
    raise UpstreamFailed(f"{endpoint.id} answers no probe: {tokens_in}, {tokens_out}")


MACHINE = Machine(cores=2, memory=Bytes(8 * GIGA), memory_free=Bytes(4 * GIGA))


def _causes(error: BaseException) -> str:
    """The leaves of a group of errors."""
    if not isinstance(error, BaseExceptionGroup):
        return repr(error)
    group = cast("BaseExceptionGroup[BaseException]", error)
    return "; ".join(_causes(each) for each in group.exceptions)
