"""A gateway that is played, with its clients: limits and the flight table are the product's own."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from littoral.domain import flight
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import KeyId
from littoral.domain.limits import limit_ids, nanos
from littoral.domain.ports import Chance, ChannelClosed, Clock
from littoral.domain.project import KeyGrant
from littoral.domain.quota import Charge, Use
from littoral.domain.session import Endpoints, Fence, Freed, Pulse, Settled, Tables
from littoral.domain.units import Seconds
from littoral.gateway.quota import Gate, Quotas, gates_of, most_money
from littoral.gateway.refusal import Refusal
from littoral.gateway.settlement import OK, Flights
from littoral.lab.box import Box
from littoral.lab.life import Life
from littoral.lab.trace import Trace
from littoral.lab.witness import Answer, Witness
from littoral.node.gateway import TICK, GatewayProcess, Launch
from littoral.testing.channel import channel_pair

COLUMN = 1
MOST_TOKENS = 400
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What clients of one edge do: ``every_s`` apart on average, with these keys."""

    every_s: Seconds
    keys: Sequence[KeyId]
    flows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a gateway and its clients need."""

    node: str
    box: Box
    life: Life
    clock: Clock
    chance: Chance
    trace: Trace
    witness: Witness
    traffic: Traffic
    served: list[tuple[int, int]]
    numbers: list[int]
    pace: float


@dataclass(slots=True)
class _Asked:
    """One request that is being admitted, or was."""

    request: str
    grant: KeyGrant
    endpoint: Endpoint
    slot: int
    tokens_in: int
    at_us: int = 0


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
        self._flights = Flights(memoryview(scene.box.flights))
        self._quotas = Quotas(scene.box.quota(COLUMN))
        self._grants: Mapping[KeyId, KeyGrant] = {}
        self._gates: Mapping[str, Gate] = {}
        self._endpoints: tuple[Endpoint, ...] = ()
        self.serves = (0, 0)
        self._fence = 0
        self._open = 0
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
                group.start_soon(self._hear)
                group.start_soon(self._pulse)
                group.start_soon(self._clients, group)
                await self._ended.wait()
                group.cancel_scope.cancel()
        except* ChannelClosed:
            pass  # the node is gone

    async def _hear(self) -> None:
        while True:
            frame = await self._far.receive()
            match frame:
                case Tables():
                    self._take(frame)
                case Endpoints():
                    self._endpoints = frame.endpoints
                case Fence():
                    self._fence = frame.number
                    self._news.set()
                case Freed():
                    self._flights.free(frame.slots)
                case _:
                    continue

    def _take(self, tables: Tables) -> None:
        snapshot = tables.snapshot
        number = (snapshot.epoch, snapshot.version)
        self._grants = {grant.id: grant for grant in snapshot.keys}
        self._gates = gates_of(snapshot.limits, tables.rows)
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
                in_flight=self._open,
                lag_s=Seconds(0.0),
                counters={},
                serves=self.serves,
                fence=self._fence,
            )
            await self._far.send(pulse)
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
        scene = self._scene
        scene.numbers[0] += 1
        request = f"{scene.node}.{scene.numbers[0]}"
        ready = [each for each in self._endpoints if each.state == "ready"]
        key = _pick(scene.traffic.keys, scene.chance)
        grant = self._grants.get(key) if key else None
        if grant is None or grant.revoked:
            scene.witness.refused["key"] += 1
            return
        endpoint = _pick(ready, scene.chance)
        slot = self._flights.take() if endpoint is not None else -1
        if endpoint is None or slot < 0:
            scene.witness.refused["place"] += 1
            return
        asked = _Asked(request, grant, endpoint, slot, 1 + int(100 * scene.chance.random()))
        charge = self._admit(asked)
        if charge is None:
            self._flights.put_back(slot)
            scene.witness.refused["limit"] += 1
        else:
            self._open += 1
            group.start_soon(self._answer, asked, charge)

    def _admit(self, asked: "_Asked") -> Charge | None:
        """Charge it and open its slot."""
        scene, grant, endpoint = self._scene, asked.grant, asked.endpoint
        names = limit_ids(grant.id, grant.project, endpoint.serves)
        gates = [self._gates[name] for name in names if name in self._gates]
        prices = {"price_in": endpoint.price_in, "price_out": endpoint.price_out}
        money = most_money(asked.tokens_in, MOST_TOKENS, **prices)
        at_us = asked.at_us = scene.clock.wall()
        wish = Use(asked.tokens_in + MOST_TOKENS, money, at_us, int(scene.clock.now() * 1e9))
        charge = Charge((), 0, 0)
        if gates:
            found = self._quotas.admit(gates, wish, asked.slot)
            if isinstance(found, Refusal):
                return None
            charge = found
        if charge.rows:
            self._flights.charge(asked.slot, charge)
        flags = flight.CHARGED if charge.rows else 0
        serves, deployment = endpoint.serves, endpoint.deployment
        text = (asked.request, grant.project, grant.id, serves, deployment, endpoint.id)
        header = (flags, OK, 0, asked.tokens_in, 0, 0, at_us, 0, 0, 0, 0, *prices.values())
        self._flights.open(asked.slot, header, flight.identity(text))
        if gates:
            self._quotas.seal()
        scene.witness.begun(asked.request, scene.node)
        return charge

    async def _answer(self, asked: "_Asked", charge: Charge) -> None:
        """Stream an answer, and settle it."""
        scene, tokens_in = self._scene, asked.tokens_in
        tokens_out = 1 + int((MOST_TOKENS - 1) * scene.chance.random())
        took_s = 0.2 + 0.02 * tokens_out
        await anyio.sleep(took_s / 2)
        self._flights.count(asked.slot, tokens_out // 2)
        await anyio.sleep(took_s / 2)
        prices = {"price_in": asked.endpoint.price_in, "price_out": asked.endpoint.price_out}
        cost = flight.cost_of(tokens_in, tokens_out, **prices)
        flags = flight.CHARGED if charge.rows else 0
        if charge.rows:
            now_ns = int(scene.clock.now() * 1e9)
            used = Use(tokens_in + tokens_out, nanos(cost), asked.at_us, now_ns)
            self._quotas.settle(charge, asked.slot, used)
        counts = (flags, OK, 0, tokens_in, 0, tokens_out, asked.at_us, 0, int(took_s * 1e6))
        self._flights.settle(asked.slot, counts)
        if charge.rows:
            self._quotas.seal()
        got = Answer(tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)
        scene.witness.answered(asked.request, got)
        scene.trace.note(f"{asked.request} answered {tokens_in}+{tokens_out}")
        self._open -= 1
        await self._far.send(Settled(slots=self._flights.report()))

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


def _pick(things: Sequence[T], chance: Chance) -> T | None:
    return things[int(chance.random() * len(things))] if things else None
