"""Edge: one simulated edge: a box, a link, and one life of the real node after the other."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn, cast

import anyio
from anyio import lowlevel

from littoral.domain.endpoint import Endpoint, Machine
from littoral.domain.enrolment import REVOKED
from littoral.domain.errors import LittoralError, Revoked, UnknownName, UpstreamFailed
from littoral.domain.flight import SLOT_BYTES, read
from littoral.domain.ids import NodeId
from littoral.domain.ports import Chance, Network
from littoral.domain.reach import Spot
from littoral.domain.rollout import GoldenItem
from littoral.domain.units import Bytes, Seconds
from littoral.lab.books import Books
from littoral.lab.box import SLOTS, Box
from littoral.lab.cloud import Cloud
from littoral.lab.door import PlayedRegistrar
from littoral.lab.engine import PlayedDriver
from littoral.lab.gateway import PlayedGateway, launcher
from littoral.lab.life import Killed, Life
from littoral.lab.member import FACTS, Member
from littoral.lab.promise import Waiting
from littoral.lab.scene import Scene, Traffic
from littoral.lab.trace import Trace
from littoral.lab.wan import Link, Wan
from littoral.lab.wire import EdgeCarrier, Ground, Wire
from littoral.node.backoff import Patience
from littoral.node.gateway import Launch
from littoral.node.identity import Credentials, Identity
from littoral.node.parts import NodeParts
from littoral.node.serve import serve
from littoral.node.tending import Tools
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.sink import ListSink

DOWN = Seconds(20.0)
"""How long a killed node is away, at most; power comes back later."""
GIGA = 1 << 30
ANEW = (0, 0)
"""Stands among the snapshots that were served where a machine became another node."""
Serve = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """What all edges of a fleet share. ``serve`` is the node's, unless a test broke it."""

    wan: Wan
    wire: Wire
    cloud: Cloud
    trace: Trace
    books: Books
    passes: Counter[str]
    pace: float
    serve: Serve = serve


@dataclass(slots=True, kw_only=True)
class Edge:
    """One edge.

    Attributes:
        node: Who it is, once it has joined.
        served: (epoch, version) of every snapshot its gateways served from, in order.
        faults: What ended a life without having been told to.
    """

    name: str
    box: Box
    link: Link
    chance: Chance
    traffic: Traffic
    spot: Spot
    country: Country
    served: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    faults: list[str] = field(default_factory=list[str])
    gateways: list[PlayedGateway] = field(default_factory=list[PlayedGateway])
    waiting: dict[str, Waiting] = field(default_factory=dict[str, Waiting])
    node: NodeId | None = None
    lives: int = 0
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

    def join_anew(self) -> None:
        """People let it join anew."""
        self.box.disk.files[REVOKED] = b"let join anew"
        self.kill()

    def _end(self, away: Seconds) -> None:
        self.life.over = True
        self._away = away
        self._scope.cancel()

    def lose_power(self, away: Seconds) -> None:
        """End every process of it; what was not synced is gone, and nobody says goodbye."""
        under_way = self._under_way()
        self.country.books.witness.power_lost(under_way)
        for request in under_way:
            self.country.books.purse.lost(request)
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
                await self._be_node()
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

    async def _be_node(self) -> None:
        """Be a node, after joining where it is none yet."""
        cloud = self.country.cloud
        registrar = PlayedRegistrar(self.link, cloud.door, kill=cloud.kill)
        member = Member(self.name, self.box, self.life, registrar=registrar, chance=self.chance)
        self._away = Seconds(DOWN * self.chance.random())
        try:
            held = member.held() or await member.join(partial(cloud.token, self.spot))
        except LittoralError as error:
            self.country.trace.note(f"{self.name} is no node yet: {error.code}")
            return
        if self.node != held.identity.node:
            self.served.append(ANEW)
            self.node = held.identity.node
            self.country.books.hops.spots[self.node] = self.spot
        try:
            await self.country.serve(self._parts(member, held), stop=anyio.Event())
        except* Revoked:
            self.country.trace.note(f"{self.name} is revoked")

    def _network(self, member: Member) -> Network:
        ground = Ground(
            carrier=EdgeCarrier(self.country.wan, self.link, self.life, peer=member.peer),
            clock=self.box.clock,
            chance=self.chance,
            entropy=member.entropy,
            failpoints=self.life,
            admit=lambda _peer: "",
        )
        return self.country.wire.link(ground)

    def _parts(self, member: Member, held: Credentials) -> NodeParts:
        box, life, who = self.box, self.life, held.identity
        self.driver = PlayedDriver(self.chance)
        tools = Tools(
            inventory=lambda: FACTS,
            tail=_no_log,
            probe=_no_probe,
            answer=_no_answer,
            joined=member.joined(held),
        )
        return NodeParts(
            identity=Identity(node=who.node, name=who.name, boot=f"b{self.lives}", build="0"),
            network=self._network(member),
            session=who.session_url,
            joined=True,
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
            unpack=self.country.wire.unpack,
            anchors=lambda: held.anchors,
            flights=[memoryview(box.flights)],
            quota=box.quota(0),
            gateways=[self._gateway()],
            machine=lambda: MACHINE,
            tools=tools,
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
            witness=self.country.books.witness,
            purse=self.country.books.purse,
            promises=self.country.books.promises,
            hops=self.country.books.hops,
            spot=self.spot,
            waiting=self.waiting,
            traffic=self.traffic,
            served=self.served,
            numbers=self._numbers,
            pace=self.country.pace,
        )
        return launcher(scene, self.gateways)


def _no_log(role: str, lines: int) -> str:
    raise UnknownName(f"there is no log of {role!r} with {lines} lines in a simulation")


async def _no_answer(endpoint: Endpoint, item: GoldenItem) -> NoReturn:
    await lowlevel.checkpoint()
    raise UpstreamFailed(f"{endpoint.id} answers no golden item: {item.check}")


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
