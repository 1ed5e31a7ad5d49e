"""A flood from one project beside the modest needs of another, with and without fair queueing."""

from dataclasses import dataclass

from sim.arena import Job, World, quantile
from sim.waiting import Fair, Plain

SLOTS = 8
MEAN_S = 1.0
RUN_S = 400.0
QUIET = 0.25
"""The quiet project's load, as a share of what the slots can serve."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What the quiet project met."""

    p50: float
    p95: float
    share: float


def flood(load: float, *, is_fair: bool, seed: int = 1) -> Waits:
    """One project asks for ``load`` times what can be served, another for a quarter of it.

    The noisy one asks for short answers, so it looks harmless request by request.
    """
    world = World(seed)
    place = Fair(world, SLOTS) if is_fair else Plain(world, SLOTS)
    capacity = SLOTS / MEAN_S

    def ask(project: str, mean_s: float) -> None:
        busy_s = world.lognormal(mean_s * 0.8, 0.6)
        expected_s = world.lognormal(busy_s, 0.3)
        place.take(Job(project, world.now, busy_s, expected_s, due=world.now + 600.0))

    world.stream(QUIET * capacity, lambda: ask("quiet", MEAN_S), start=0.0, until=RUN_S)
    rate = load * capacity * 4
    world.stream(rate, lambda: ask("noisy", MEAN_S / 4), start=20.0, until=RUN_S)
    world.run(RUN_S)
    waits = [world.now - j.came for j in place.asked if j.project == "quiet" and j.wait_s < 0.0]
    waits += [j.wait_s for j in place.asked if j.project == "quiet" and j.wait_s >= 0.0]
    return Waits(quantile(waits, 0.5), quantile(waits, 0.95), place.seconds["quiet"])


def shares(weights: dict[str, float], *, lie: float = 1.0, seed: int = 2) -> dict[str, float]:
    """The share of engine seconds each backlogged project gets; the first one's requests look
    ``lie`` times as long as they are."""
    world = World(seed)
    place = Fair(world, SLOTS)

    def ask(number: int, project: str) -> None:
        busy_s = world.lognormal(0.5 * (number + 1), 0.5)
        expected_s = busy_s * (lie if number == 0 else 1.0)
        job = Job(project, world.now, busy_s, expected_s, due=1e9, weight=weights[project])
        place.take(job)

    for number, project in enumerate(weights):
        world.stream(12.0, lambda n=number, p=project: ask(n, p), start=0.0, until=RUN_S)
    world.run(RUN_S)
    total = sum(place.seconds.values())
    return {name: place.seconds[name] / total for name in weights}


def priorities(load: float, *, seed: int = 3) -> dict[int, tuple[float, float]]:
    """By priority level: the 95th percentile of waits, and the share of all engine seconds."""
    world = World(seed)
    place = Fair(world, SLOTS)
    capacity = SLOTS / MEAN_S
    parts = {0: 0.3, 1: 0.3, 2: load - 0.6}

    def ask(level: int) -> None:
        busy_s = world.lognormal(MEAN_S * 0.8, 0.6)
        job = Job(f"p{level}", world.now, busy_s, busy_s, due=world.now + 120.0, level=level)
        place.take(job)

    for level, part in parts.items():
        if part > 0:
            world.stream(part * capacity, lambda at=level: ask(at), start=0.0, until=RUN_S)
    world.run(RUN_S)
    total = sum(place.seconds.values())
    found = {}
    for level in parts:
        waits = [j.wait_s for j in place.done if j.level == level and j.came > 60.0]
        found[level] = (quantile(waits, 0.95), place.seconds[f"p{level}"] / total)
    return found
