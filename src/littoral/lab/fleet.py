"""Fleet: run one seeded simulation from its first start to the comparison of all books."""

import gc
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from littoral.domain.failpoint import FailpointName
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Chance
from littoral.domain.reach import HOME, Residency, Spot
from littoral.domain.site import SiteSpec
from littoral.domain.units import Seconds
from littoral.lab.books import Books
from littoral.lab.box import Box
from littoral.lab.cloud import Cloud, SyncedLedger
from littoral.lab.edge import ANEW, Country, Edge, Serve
from littoral.lab.hop import PROJECTS
from littoral.lab.life import Act
from littoral.lab.nemesis import ACTS, WEIGHTS, Nemesis
from littoral.lab.operator import Operator
from littoral.lab.scene import Traffic
from littoral.lab.trace import Trace
from littoral.lab.wan import Link, Wan
from littoral.lab.wire import Wire
from littoral.node.serve import serve
from littoral.testing.chance import SeededChance
from littoral.testing.loop import LoopClock, simulate

CONVERGE = Seconds(120.0)
"""By then after the last fault everything is everywhere."""
HOUR = Seconds(3600.0)
TOLD_EVERY = Seconds(600.0)


def spot_of(number: int) -> Spot:
    """Where a machine of a fleet stands: of five, three on a site of theirs, one in the cloud."""
    if number % 5 == 4:
        return HOME
    return Spot(site=HOME.site if number % 5 == 3 else f"site-{number // 5}", tier="edge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One simulation.

    ``pace`` stretches what nodes look at again and again; on ``metered`` links they beat each 30 s,
    on others each 5. Faults come ``fault_s`` apart in the whole fleet, requests ``request_s`` at
    each edge; keys with a budget may spend ``hourly`` an hour. ``faults`` are the weights of those
    that happen; ``places`` the failpoints that are armed, where not all, and ``acts`` with what.
    """

    seed: int = 1
    edges: int = 20
    hours: float = 24.0
    metered: bool = True
    pace: float = 240.0
    fault_s: Seconds = Seconds(120.0)
    request_s: Seconds = Seconds(300.0)
    change_s: Seconds = Seconds(1800.0)
    hourly: float = 0.04
    faults: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    places: Sequence[FailpointName] = ()
    acts: Sequence[Act] = ACTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Parts that a test replaces by wrong ones, to see that the comparison finds it.

    ``declared`` are the projects as control learns of them.
    """

    serve: Serve = serve
    ledger: Callable[[], SyncedLedger] = SyncedLedger
    box: Callable[[str, Chance], Box] = Box
    declared: Mapping[ProjectId, Residency] = field(default_factory=lambda: PROJECTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulation came to; ``wrong`` is empty where everything held.

    ``sums`` of limits were compared; ``deferred`` requests and ``calls`` between nodes are counted
    by how they ended.
    """

    seed: int
    edges: int
    virtual_s: Seconds
    converged_s: Seconds | None
    requests: int
    answered: int
    refused: Mapping[str, int]
    changes: int
    sums: int
    deferred: Mapping[str, int]
    calls: Mapping[str, int]
    faults: Mapping[str, int]
    passes: Mapping[str, int]
    lives: int
    events: int
    digest: str
    wrong: Sequence[str]
    last: Sequence[str]


class Fleet:
    """A cloud, its edges, and whoever uses and harms them.

    Args:
        plan: What to simulate.
        wire: How frames are written.
        broken: Parts that are wrong on purpose.
        tell: Is given each line of the trace.
    """

    def __init__(
        self,
        plan: Plan,
        wire: Wire,
        *,
        broken: Broken,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.plan = plan
        self._broken = broken
        self._left: list[str] = []
        self.trace = Trace(LoopClock().now, tell)
        self.books = Books()
        self.passes: Counter[str] = Counter()
        sites = {HOME.site, *(spot_of(number).site for number in range(plan.edges))}
        self.cloud = Cloud(
            wan := Wan(self.trace),
            wire,
            chance=self._chance("cloud"),
            passes=self.passes,
            ledger=broken.ledger(),
            sites=dict.fromkeys(sites, SiteSpec(metered=plan.metered)),
        )
        self.operator = Operator(
            cloud=self.cloud,
            chance=self._chance("operator"),
            trace=self.trace,
            purse=self.books.purse,
            every_s=plan.change_s,
            hourly=plan.hourly,
            projects=broken.declared,
        )
        self._country = Country(
            wan=wan,
            wire=wire,
            cloud=self.cloud,
            trace=self.trace,
            books=self.books,
            passes=self.passes,
            pace=plan.pace,
            serve=broken.serve,
        )
        self._group: TaskGroup | None = None
        self.edges = [self._edge(number) for number in range(plan.edges)]
        self.nemesis = self._nemesis(plan)

    def _nemesis(self, plan: Plan) -> Nemesis:
        return Nemesis(
            edges=self.edges,
            cloud=self.cloud,
            chance=self._chance("nemesis"),
            trace=self.trace,
            every_s=plan.fault_s,
            weights=plan.faults,
            places=plan.places,
            acts=plan.acts,
            clone=self._clone,
        )

    def _chance(self, of: str) -> Chance:
        return SeededChance(f"{self.plan.seed}/{of}")

    def _clone(self, edge: Edge) -> Edge:
        """A second machine with a copy of an edge's disk, which runs from now on."""
        if self._group is None:
            raise AssertionError("nothing runs yet")
        made = self._edge(len(self.edges), of=edge)
        self.edges.append(made)
        self._group.start_soon(made.run)
        return made

    def _edge(self, number: int, *, of: Edge | None = None) -> Edge:
        name = f"edge-{number:04d}"
        chance = self._chance(name)
        box = self._broken.box(f"ob_{number:04d}", self._chance(f"{name}/box"))
        if of is not None:
            box.copy(of.box)
        link = Link(
            name,
            chance=self._chance(f"{name}/link"),
            now=LoopClock().now,
            delay_s=Seconds(0.005 + 0.1 * chance.random()),
            bends=self.books.hops.bend,
        )
        return Edge(
            name=name,
            box=box,
            link=link,
            chance=chance,
            traffic=Traffic(every_s=self.plan.request_s, keys=self.operator.keys),
            spot=spot_of(number) if of is None else of.spot,
            country=self._country,
        )

    async def run(self, progress: Callable[[Seconds], None]) -> Outcome:
        """Simulate all of it."""
        clock = LoopClock()
        outcome: Outcome | None = None
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self.cloud.run)
            for edge in self.edges:
                group.start_soon(edge.run)
            await self.operator.begin()
            async with anyio.create_task_group() as harm:
                harm.start_soon(self.operator.run)
                if self.plan.faults:
                    harm.start_soon(self.nemesis.run)
                end = self.plan.hours * HOUR
                while clock.now() < end:
                    await anyio.sleep(min(TOLD_EVERY, end - clock.now()) + 1e-6)
                    progress(clock.now())
                harm.cancel_scope.cancel()
            converged = await self._converge()
            outcome = self._outcome(clock.now(), converged)
            group.cancel_scope.cancel()
        if outcome is None:
            raise AssertionError("the simulation was cancelled")
        return outcome

    async def _converge(self) -> Seconds | None:
        """Let everything heal; how long it took until nothing was open, None where too long."""
        self.trace.note("healing")
        self.nemesis.heal()
        for edge in self.edges:
            edge.traffic.flows = False
        for second in range(int(CONVERGE)):
            await anyio.sleep(1.0)
            self._left = await self._open()
            if not self._left:
                return Seconds(second + 1.0)
        return None

    async def _open(self) -> list[str]:
        """What has not converged yet."""
        desk = self.cloud.desk
        if desk is None:
            return ["control is down"]
        found: list[str] = []
        for edge in self.edges:
            if edge.node is None:
                found.append(f"{edge.name} has not joined")
                continue
            wanted = desk.publisher.compile(edge.node)
            number = (wanted.epoch, wanted.version)
            if edge.serves != number:
                found.append(f"{edge.name} serves {edge.serves}, not {number}")
            level = await edge.box.outbox.level()
            if level.lanes["ledger"].waiting or any(edge.box.flights[::512]):
                found.append(f"{edge.name} has records that are not stored")
            if any(each.usage and not each.booked for each in edge.box.deferrals.every()):
                found.append(f"{edge.name} has deferred requests that are not booked")
        return found

    def _wrong(self, converged: Seconds | None) -> list[str]:
        wrong = [] if converged is not None else [f"not converged after {CONVERGE:.0f} s"]
        wrong.extend(self._left)
        kept = [edge.box.deferrals.every() for edge in self.edges]
        wrong.extend(self.books.wrong(self.cloud.ledger, kept))
        wrong.extend(self.cloud.reports)
        for edge in self.edges:
            wrong.extend(edge.faults)
            pairs = zip(edge.served, edge.served[1:], strict=False)
            back = [(a, b) for a, b in pairs if ANEW != b < a]
            wrong.extend(f"{edge.name}: {b} served after {a}" for a, b in back)
        return wrong

    def _outcome(self, now: Seconds, converged: Seconds | None) -> Outcome:
        accounts = self.books.witness.accounts.values()
        return Outcome(
            seed=self.plan.seed,
            edges=self.plan.edges,
            virtual_s=now,
            converged_s=converged,
            requests=len(accounts),
            answered=sum(each.answer is not None for each in accounts),
            refused=dict(self.books.witness.refused),
            changes=self.operator.changes,
            sums=self.books.purse.compared,
            deferred=dict(sorted(self.books.promises.counts.items())),
            calls=dict(sorted(self.books.hops.counts.items())),
            faults=dict(sorted(self.nemesis.counts.items())),
            passes=dict(sorted(self.passes.items())),
            lives=sum(edge.lives for edge in self.edges) + self.cloud.lives,
            events=self.trace.lines,
            digest=self.trace.digest,
            wrong=tuple(self._wrong(converged)),
            last=tuple(self.trace.last),
        )


def run_fleet(
    plan: Plan,
    wire: Wire,
    *,
    broken: Broken | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[Seconds], None] = lambda _now: None,
) -> Outcome:
    """Run one simulation on virtual time.

    Args:
        plan: What to simulate.
        wire: How frames are written.
        broken: Parts that are wrong on purpose.
        tell: Is given each line of the trace.
        progress: Is told the virtual time, now and then.
    """

    async def main() -> Outcome:
        fleet = Fleet(plan, wire, broken=broken or Broken(), tell=tell)
        return await fleet.run(progress)

    with _seldom_collected():
        return simulate(main)


@contextmanager
def _seldom_collected() -> Generator[None]:
    """Look for garbage less often: books and trace grow, and each look goes through all of them."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
