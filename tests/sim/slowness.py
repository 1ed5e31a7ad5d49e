"""Engines that are now and then slow to answer, with and without a second try."""

from dataclasses import dataclass

from littoral.gateway.hedge import Hedge
from sim.arena import World, quantile

ENGINES = 4
SLOTS = 4
MEAN_S = 1.0
SLOW = 0.03
"""How many tries hit a pause (a collection, a neighbour, a lost packet), and how long it is."""
PAUSE_S = 10.0
RUN_S = 1500.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds to the answer, and extra tries as a share of requests."""

    p50: float
    p95: float
    p99: float
    extra: float


class Try:
    """One try on one engine: waits for a slot there, may be called off."""

    __slots__ = ("engine", "is_off", "serving")

    def __init__(self, engine: int) -> None:
        self.engine = engine
        self.is_off = False
        self.serving = False


class Farm:
    """Engines with a queue each; a request goes to the one with the fewest."""

    def __init__(self, world: World, *, hedges: bool) -> None:
        self.world = world
        self.hedge = Hedge() if hedges else None
        self.taken = [0] * ENGINES
        self.waiting: list[list[tuple[Try, float, object]]] = [[] for _ in range(ENGINES)]
        self.times: list[float] = []
        self.extra = 0

    def load(self, engine: int) -> int:
        """Requests there, served or waiting."""
        return self.taken[engine] + sum(not each[0].is_off for each in self.waiting[engine])

    def ask(self) -> None:
        """A request comes."""
        came, tries = self.world.now, []

        def answered(winner: Try) -> None:
            for each in tries:
                if each is not winner:
                    self.call_off(each)
            self.times.append(self.world.now - came)
            if self.hedge is not None:
                self.hedge.saw(self.world.now - came)
            tries.clear()

        def again() -> None:
            free = [at for at in range(ENGINES) if self.load(at) < SLOTS and at != tries[0].engine]
            if free and self.hedge.budget.spend():
                self.extra += 1
                self.go(min(free, key=self.load), tries, answered)

        self.go(min(range(ENGINES), key=self.load), tries, answered)
        delay_s = self.hedge.plan() if self.hedge is not None else 0.0
        if delay_s:
            self.world.at(came + delay_s, lambda: again() if tries else None)

    def go(self, engine: int, tries: list[Try], answered) -> None:
        """Send one try."""
        each = Try(engine)
        tries.append(each)
        world = self.world
        busy_s = world.lognormal(MEAN_S * 0.92, 0.4)
        if world.chance.random() < SLOW:
            busy_s += PAUSE_S
        self.waiting[engine].append((each, busy_s, answered))
        self.serve(engine)

    def serve(self, engine: int) -> None:
        """Begin what waits."""
        waiting = self.waiting[engine]
        while waiting and self.taken[engine] < SLOTS:
            each, busy_s, answered = waiting.pop(0)
            if not each.is_off:
                self.taken[engine] += 1
                each.serving = True
                self.world.at(self.world.now + busy_s, lambda e=each, a=answered: self.end(e, a))

    def end(self, each: Try, answered) -> None:
        """One try is through."""
        if not each.is_off:
            self.taken[each.engine] -= 1
            answered(each)
            self.serve(each.engine)

    def call_off(self, each: Try) -> None:
        """The other one won: the engine stops at once."""
        each.is_off = True
        if each.serving:
            self.taken[each.engine] -= 1
            self.serve(each.engine)


def slowness(load: float, *, hedges: bool, seed: int = 5) -> Latency:
    """Ask for ``load`` of what the engines can serve."""
    world = World(seed)
    farm = Farm(world, hedges=hedges)
    mean_s = MEAN_S + SLOW * PAUSE_S
    world.stream(load * ENGINES * SLOTS / mean_s, farm.ask, start=0.0, until=RUN_S)
    world.run(RUN_S)
    times = farm.times[len(farm.times) // 10 :]
    return Latency(
        quantile(times, 0.5), quantile(times, 0.95), quantile(times, 0.99),
        farm.extra / len(farm.times),
    )  # fmt: skip
