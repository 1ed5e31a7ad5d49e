"""Till: what a played gateway charges and books; limits and flight table are the product's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from littoral.domain import flight
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.limits import limit_ids, nanos
from littoral.domain.project import KeyGrant
from littoral.domain.quota import SINCE, Charge, Use
from littoral.domain.reach import Residency
from littoral.domain.session import Endpoints, Frame, Freed, Reach, Settled, Tables
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord
from littoral.gateway.quota import Gate, Quotas, gates_of, most_money
from littoral.gateway.refusal import Refusal
from littoral.gateway.settlement import FAILED, OK, Flights
from littoral.lab.scene import Scene
from littoral.testing.loop import LoopClock

COLUMN: Final = 1
MOST_TOKENS: Final = 400
RIGHT_US: Final = 1_000_000
"""A gateway whose time is wrong by less has the true one."""
_FREE: Final = Charge((), 0, 0)


@dataclass(slots=True, kw_only=True)
class Job:
    """One request at one engine.

    ``kind`` are further flags of its flight: a guest's is booked elsewhere. ``said`` are the tokens
    that its client was sent; ``run`` is the number where the node keeps and runs it.
    """

    request: str
    grant: KeyGrant
    endpoint: Endpoint
    tokens_in: int
    kind: int = 0
    limited: bool = True
    slot: int = -1
    at_us: Micros = Micros(0)
    charge: Charge = _FREE
    said: int = 0
    run: int = 0

    @property
    def name(self) -> str:
        """Under which it uses limits: each run of a deferred request does so alone."""
        return f"{self.request}#{self.run}" if self.run else self.request


class Till:
    """What one gateway knows of keys, limits and engines, and its books.

    Args:
        scene: Where it runs.

    Attributes:
        grants: Keys, by id.
        endpoints: Every engine, here and elsewhere.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._flights = Flights(memoryview(scene.box.flights))
        self._table = scene.box.quota(COLUMN)
        self._quotas = Quotas(self._table)
        self._gates: Mapping[str, Gate] = {}
        self._residencies: Mapping[ProjectId, Residency] = {}
        self._skew_us = 0
        self._true = LoopClock()
        self.grants: Mapping[KeyId, KeyGrant] = {}
        self.endpoints: tuple[Endpoint, ...] = ()
        self._jobs: dict[int, Job] = {}

    @property
    def open(self) -> int:
        """How many requests are under way."""
        return len(self._jobs)

    def take(self, frame: Frame) -> None:
        """Take what the node says."""
        match frame:
            case Tables():
                self.grants = {grant.id: grant for grant in frame.snapshot.keys}
                self._gates = gates_of(frame.snapshot.limits, frame.rows)
                self._residencies = {e.project: e.residency for e in frame.snapshot.traffic}
            case Endpoints():
                self.endpoints = frame.endpoints
            case Reach():
                self._skew_us = frame.skew_us
            case Freed():
                self._flights.free(frame.slots)
            case _:
                return

    def wall(self) -> Micros:
        """The node's time."""
        return Micros(self._scene.clock.wall() + self._skew_us)

    def here(self, deployment: str = "") -> list[Endpoint]:
        """The engines of this node that are ready; of one deployment, where it is named."""
        ready = [each for each in self.endpoints if each.via is None and each.state == "ready"]
        return [each for each in ready if deployment in {"", each.deployment}]

    def elsewhere(self) -> list[Endpoint]:
        """The engines of other nodes that are ready."""
        return [each for each in self.endpoints if each.via is not None and each.state == "ready"]

    def residency(self, project: ProjectId) -> Residency:
        """Where the requests of a project may be, as far as this node knows."""
        return self._residencies.get(project, "any")

    def grant(self, key: KeyId | None) -> KeyGrant | None:
        """What a key may do; None where it is not good."""
        found = self.grants.get(key) if key else None
        return None if found is None or found.revoked else found

    def begin(self, job: Job) -> str:
        """Admit a request and open its slot; why not, where it is not."""
        job.slot = self._flights.take()
        if job.slot < 0:
            return "place"
        job.at_us = self.wall()
        if job.limited and not self._charge(job):
            self._flights.put_back(job.slot)
            return "limit"
        endpoint, grant = job.endpoint, job.grant
        flags = job.kind | (flight.CHARGED if job.charge.rows else 0)
        if job.charge.rows:
            self._flights.charge(job.slot, job.charge)
        names = (job.request, grant.project, grant.id, endpoint.serves, endpoint.deployment)
        prices = (endpoint.price_in, endpoint.price_out)
        header = (flags, OK, 0, job.tokens_in, 0, 0, job.at_us, 0, 0, 0, 0, *prices)
        self._flights.open(job.slot, header, flight.identity((*names, endpoint.id)))
        if job.charge is not _FREE:
            self._quotas.seal()
        self._jobs[job.slot] = job
        return ""

    def _charge(self, job: Job) -> bool:
        scene, endpoint = self._scene, job.endpoint
        names = limit_ids(job.grant.id, job.grant.project, endpoint.serves)
        gates = {name: self._gates[name] for name in names if name in self._gates}
        if not gates:
            return True
        money = most_money(
            job.tokens_in, MOST_TOKENS, price_in=endpoint.price_in, price_out=endpoint.price_out
        )
        wish = Use(job.tokens_in + MOST_TOKENS, money, job.at_us, int(scene.clock.now() * 1e9))
        found = self._quotas.admit(list(gates.values()), wish, job.slot)
        if isinstance(found, Refusal):
            return False
        job.charge = found
        words, table = self._table.words, self._table
        held = {name: gate for name, gate in gates.items() if gate.row in found.rows}
        scene.purse.admitted(
            job.name,
            {name: words[table.at(gate.row) + SINCE] for name, gate in held.items()},
            money=money,
            now_us=self._true.wall(),
            right=abs(job.at_us - self._true.wall()) < RIGHT_US,
        )
        return True

    def count(self, job: Job, tokens: int) -> None:
        """Its client is about to have so many tokens."""
        job.said = tokens
        self._flights.count(job.slot, tokens)

    def settle(self, job: Job, *, ok: bool, took_s: float) -> float:
        """It has ended, with what was said; returns what it costs."""
        cost = self._cost(job)
        flags = job.kind | (flight.CHARGED if job.charge.rows else 0)
        if job.charge.rows:
            now_ns = int(self._scene.clock.now() * 1e9)
            used = Use(job.tokens_in + job.said, nanos(cost), job.at_us, now_ns)
            self._quotas.settle(job.charge, job.slot, used)
        took_us = int(took_s * 1e6)
        status = OK if ok else FAILED
        counts = (flags, status, 0, job.tokens_in, 0, job.said, job.at_us, 0, took_us)
        self._flights.settle(job.slot, counts)
        if job.charge.rows:
            self._quotas.seal()
        del self._jobs[job.slot]
        self._booked(job, cost)
        return cost

    def broken(self) -> None:
        """The gateway dies: the node settles what was open, with what was said."""
        for job in self._jobs.values():
            self._booked(job, self._cost(job))
        self._jobs.clear()

    def _booked(self, job: Job, cost: float) -> None:
        """What a guest of this gateway used may be booked never: nobody counts on it."""
        if job.kind & flight.GUEST:
            self._scene.purse.lost(job.name)
        else:
            self._scene.purse.settled(job.name, nanos(cost))

    def _cost(self, job: Job) -> float:
        prices = {"price_in": job.endpoint.price_in, "price_out": job.endpoint.price_out}
        return flight.cost_of(job.tokens_in, job.said, **prices)

    def record(self, job: Job) -> UsageRecord | None:
        """What a settled request will be booked as."""
        return self._flights.record(job.slot)

    def report(self) -> Settled:
        """What has settled since it was asked last."""
        return Settled(slots=self._flights.report())
