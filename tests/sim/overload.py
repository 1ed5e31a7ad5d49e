"""Up to ten times the load that can be served, with and without shedding."""

from dataclasses import dataclass

from sim.arena import Job, World, quantile
from sim.waiting import Fair, Plain

SLOTS = 8
MEAN_S = 1.0
DEADLINE_S = 10.0
RUN_S = 240.0
SETTLED_S = 60.0
"""What came before is not counted: queues are still growing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the slots' time spent on answers in time, and how long these took."""

    goodput: float
    p99_s: float
    refused: float


def overload(load: float, *, sheds: bool, level: int = 1, seed: int = 4) -> Outcome:
    """Ask for ``load`` times what can be served; an answer after its deadline is worth nothing.

    Predictions are wrong by a factor whose logarithm has a standard deviation of 0.3.
    """
    world = World(seed)
    place = Fair(world, SLOTS, target_s=DEADLINE_S / 4) if sheds else Plain(world, SLOTS)
    if isinstance(place, Fair):
        world.every(0.1, place.tick, until=RUN_S)
    capacity = SLOTS / MEAN_S

    def ask() -> None:
        busy_s = world.lognormal(MEAN_S * 0.835, 0.6)
        expected_s = world.lognormal(busy_s, 0.3)
        due = world.now + DEADLINE_S
        place.take(Job("p", world.now, busy_s, expected_s, due=due, level=level))

    world.stream(load * capacity, ask, start=0.0, until=RUN_S)
    world.run(RUN_S)
    late = [job for job in place.done if job.ended > SETTLED_S]
    good = [job for job in late if job.ended <= job.due]
    times = [job.ended - job.came for job in late]
    came = load * capacity * RUN_S
    return Outcome(
        goodput=sum(job.busy_s for job in good) / (RUN_S - SETTLED_S) / SLOTS,
        p99_s=quantile(times, 0.99),
        refused=len(place.refused) / came,
    )
