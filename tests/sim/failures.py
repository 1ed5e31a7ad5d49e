"""One of four endpoints fails for two minutes, with and without breakers and retry budgets."""

from dataclasses import dataclass

from littoral.gateway.breaker import Breaker, ejected
from littoral.gateway.retry import Budget
from sim.arena import World

ENDPOINTS = 4
RATE = 40.0
FROM_S, TO_S, RUN_S = 60.0, 180.0, 300.0
SPAN_S = 5.0


@dataclass(frozen=True, slots=True)
class Failures:
    """By span of time: the shares of requests whose first try failed, and that failed for good.

    ``extra`` are retries over requests, in the whole run; ``healed_s`` is how long after its return
    an endpoint was found again, -1 where it never was.
    """

    first: list[float]
    final: list[float]
    extra: float
    healed_s: float


class Fleet:
    """Endpoints in turn; the broken ones refuse every try."""

    def __init__(self, world: World, *, broken: set[int], breaks: bool) -> None:
        self.world, self.broken, self.breaks = world, broken, breaks
        self.breakers = [Breaker() for _ in range(ENDPOINTS)]
        self.budget = Budget()
        self.out = 0
        self.turn = 0
        spans = int(RUN_S / SPAN_S)
        self.came, self.first, self.final = [0] * spans, [0] * spans, [0] * spans
        self.retries = 0
        self.healed_s = -1.0

    def fails(self, at: int) -> bool:
        """Whether an endpoint is down now."""
        return at in self.broken and FROM_S <= self.world.now < TO_S

    def mark(self) -> None:
        """Once a second."""
        for breaker in self.breakers:
            breaker.mark(self.world.now)

    def pick(self, tried: int) -> int:
        """The next endpoint in turn that is in service, or due for a probe."""
        for _ in range(ENDPOINTS):
            self.turn = (self.turn + 1) % ENDPOINTS
            at, breaker = self.turn, self.breakers[self.turn]
            if tried >> at & 1:
                continue
            if not self.out >> at & 1:
                return at
            if breaker.may_probe(self.world.now):
                breaker.probing = True
                return at
        return self.turn

    def ask(self) -> None:
        """A request comes: at most two retries, elsewhere, within the budget."""
        span = int(self.world.now / SPAN_S)
        self.came[span] += 1
        self.budget.earn()
        tried = 0
        for attempt in range(3):
            at = self.pick(tried)
            tried |= 1 << at
            if self.settle(at):
                return
            if attempt == 0:
                self.first[span] += 1
            if attempt == 2 or not self.budget.spend():
                break
            self.retries += 1
        self.final[span] += 1

    def settle(self, at: int) -> bool:
        """Tell the breaker; whether the endpoint answered."""
        good, breaker, now = not self.fails(at), self.breakers[at], self.world.now
        breaker.calls += 1
        if not self.breaks:
            return good
        if not good:
            breaker.failed(now, connect=True)
        elif breaker.alert and breaker.succeeded() and self.healed_s < 0.0 and now >= TO_S:
            self.healed_s = now - TO_S
        self.out = ejected(self.breakers, before=self.out)
        return good


def failures(*, breaks: bool, broken: int = 1, seed: int = 6) -> Failures:
    """``broken`` of the endpoints refuse every try from ``FROM_S`` to ``TO_S``."""
    world = World(seed)
    fleet = Fleet(world, broken=set(range(broken)), breaks=breaks)
    world.every(1.0, fleet.mark, until=RUN_S)
    world.stream(RATE, fleet.ask, start=0.0, until=RUN_S)
    world.run(RUN_S)
    return Failures(
        first=[bad / max(all_, 1) for bad, all_ in zip(fleet.first, fleet.came, strict=True)],
        final=[bad / max(all_, 1) for bad, all_ in zip(fleet.final, fleet.came, strict=True)],
        extra=fleet.retries / sum(fleet.came),
        healed_s=fleet.healed_s,
    )
