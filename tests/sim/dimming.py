"""Twice the load for four minutes, with and without the brown-out ladder."""

from dataclasses import dataclass

from littoral.gateway.brownout import Ladder, Steps, measures
from sim.arena import Job, World
from sim.waiting import Fair

SLOTS = 8
MEAN_S = 1.0
TOLERATED_S = 2.0
FROM_S, TO_S, RUN_S = 60.0, 300.0, 420.0
SPAN_S = 10.0
STEPS = Steps(shorter=128, smaller="small")
SHORTER, SMALLER = 0.6, 0.4
"""What a shorter answer, and the smaller model, take of the engine's time."""


@dataclass(frozen=True, slots=True)
class Dimmed:
    """By span of time: requests answered in time and in full, in time but dimmed; the rung."""

    full: list[float]
    dimmed: list[float]
    rung: list[float]


class Scene:
    """A place whose requests are dimmed by a ladder, or only refused."""

    def __init__(self, world: World, *, dims: bool) -> None:
        self.world, self.dims, self.ladder = world, dims, Ladder()
        self.place = Fair(world, SLOTS, target_s=TOLERATED_S)
        spans = int(RUN_S / SPAN_S)
        self.came, self.rung = [0] * spans, [0.0] * spans
        self.dimmed: set[int] = set()

    def tick(self) -> None:
        """Ten times a second."""
        self.place.tick()
        waited = self.place.line.wait_s(MEAN_S, slots=SLOTS)
        self.ladder.saw(waited / TOLERATED_S, self.world.now)
        self.rung[min(int(self.world.now / SPAN_S), len(self.rung) - 1)] = self.ladder.rung

    def ask(self) -> None:
        """A request comes, and is made smaller as the ladder says."""
        world = self.world
        self.came[int(world.now / SPAN_S)] += 1
        busy_s = world.lognormal(MEAN_S * 0.835, 0.6)
        done = measures(self.ladder.rung if self.dims else 0, STEPS, is_interactive=False)
        if done.cap is not None:
            busy_s *= SHORTER
        if done.model is not None:
            busy_s *= SMALLER
        job = Job("p", world.now, busy_s, busy_s, due=world.now + 10.0)
        if done.cap is not None:
            self.dimmed.add(id(job))
        self.place.take(job)

    def share(self, *, dimmed: bool) -> list[float]:
        """By span of arrival: requests answered in time, dimmed or in full."""
        found = [0] * len(self.came)
        for job in self.place.done:
            if job.ended <= job.due and (id(job) in self.dimmed) == dimmed:
                found[int(job.came / SPAN_S)] += 1
        return [count / max(all_, 1) for count, all_ in zip(found, self.came, strict=True)]


def dimming(*, dims: bool, load: float = 2.0, seed: int = 9) -> Dimmed:
    """``load`` times what can be served in full, between ``FROM_S`` and ``TO_S``."""
    world = World(seed)
    scene = Scene(world, dims=dims)
    world.every(0.1, scene.tick, until=RUN_S)
    quiet = 0.7 * SLOTS / MEAN_S
    world.stream(quiet, scene.ask, start=0.0, until=RUN_S)
    world.stream(load * SLOTS / MEAN_S - quiet, scene.ask, start=FROM_S, until=TO_S)
    world.run(RUN_S)
    return Dimmed(scene.share(dimmed=False), scene.share(dimmed=True), scene.rung)
