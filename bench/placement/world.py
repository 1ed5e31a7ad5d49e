"""World: both engines as they are now, and what is known of them."""

import asyncio
import math
import random
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from real import Answer, Engine, Spinner, ask
from rivals import Rival, rivals

from littoral.cost.length import Length
from littoral.cost.predictor import Outcome, Predictor, Prior, fresh, observe
from littoral.domain.ids import EndpointId
from littoral.node.strain import Strain

EDGE_SLOTS, CLOUD_SLOTS = 4, 8
SLOTS = {"edge": EDGE_SLOTS, "cloud": CLOUD_SLOTS}
RTT_S, RTT_SPREAD = 0.060, 0.4
LOOK_S = 0.25
TAGS = {  # share, input (mu, sigma), output (mu, sigma)
    "chat": (0.5, (2.9, 0.6), (2.3, 0.7)),
    "rag": (0.3, (3.9, 0.4), (1.8, 0.5)),
    "sum": (0.2, (4.3, 0.3), (2.7, 0.3)),
}
MOST_IN, MOST_OUT = 120, 48
QUIET = ((16, 1), (100, 1), (16, 32), (30, 16), (80, 8), (100, 20), (50, 30), (20, 8))
"""Tokens in and out of the requests of the quiet calibration; the first three are the probes."""


@dataclass(slots=True)
class Known:
    """What a gateway has learned: both places, the lengths of each kind, and the rivals' views."""

    places: dict[str, Predictor]
    lengths: dict[str, Length]
    rivals: dict[str, dict[str, Rival]] = field(default_factory=dict)

    def copy(self) -> "Known":
        """The same to go on from; predictors and lengths are values."""
        return Known(dict(self.places), dict(self.lengths), self.rivals)


class World:
    """The engines, the other load, the link.

    Args:
        engines: By place: edge and cloud.
        spinner: The other load.
        weights: By place, for the report.
    """

    def __init__(
        self, engines: dict[str, Engine], spinner: Spinner, *, weights: dict[str, str]
    ) -> None:
        self.engines, self.spinner, self.weights = engines, spinner, weights
        self.capacity: dict[str, float] = {}
        self.deadlines: dict[str, float] = {}
        self.cut = False
        self._strains = {
            name: (Strain(cores=(each.core,)), deque([(time.monotonic(), 1.0)], maxlen=2000))
            for name, each in engines.items()
        }

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Read how strained both cores are, four times a second."""
        task = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while True:
            for name, (reader, seen) in self._strains.items():
                found = reader.read([self.engines[name].pid])
                last = seen[-1][1]
                seen.append((time.monotonic(), last + 0.5 * (found - last)))
            await asyncio.sleep(LOOK_S)

    def strain(self, name: str) -> float:
        """Of a place's core, now."""
        return self._strains[name][1][-1][1]

    def mean_strain(self, name: str, since: float) -> float:
        """Over a request that began then."""
        found = [each for at, each in self._strains[name][1] if at >= since]
        return statistics.fmean(found) if found else self.strain(name)

    async def serve(self, name: str, *, sizes: tuple[int, int], seed: int) -> Answer:
        """One request, the link before the cloud included."""
        wait = 0.0
        if name == "cloud":
            chance = random.Random(seed)  # noqa: S311  a link, no secret
            wait = RTT_S * math.exp(chance.gauss(0.0, RTT_SPREAD))
            await asyncio.sleep(wait)
        found = await ask(self.engines[name], tokens_in=sizes[0], tokens_out=sizes[1], seed=seed)
        return Answer(found.first_s + wait, found.total_s + wait, found.tokens_in, found.tokens_out)

    def set_deadlines(self, known: Known, multiples: dict[str, float]) -> None:
        """Multiples of what the slower place takes alone for a middling request of each kind."""
        for tag, (_, ins, outs) in TAGS.items():
            x = (1.0, math.exp(ins[0]), math.exp(outs[0]) - 1.0, 0.0)
            alone = [
                sum(a * b for a, b in zip(each.recursion.theta, x, strict=True))
                for each in known.places.values()
            ]
            self.deadlines[tag] = round(multiples[tag] * max(alone), 2)


async def calibrate(world: World) -> Known:
    """A few requests one after the other at each place while nobody else is there."""
    known = Known(
        {name: fresh(EndpointId(name), prior=Prior()) for name in world.engines},
        {tag: Length(p50=outs[0], p90=outs[0] + 0.9) for tag, (_, _, outs) in TAGS.items()},
    )
    for name in world.engines:
        probes: list[Answer] = []
        for number, sizes in enumerate(QUIET * 2):
            found = await world.serve(name, sizes=sizes, seed=number + 1)
            probes.append(found)
            known.places[name] = observe(
                known.places[name],
                Outcome(
                    tokens_in=found.tokens_in,
                    tokens_out=found.tokens_out,
                    active=0,
                    slots=SLOTS[name],
                    first_s=found.first_s,
                    total_s=found.total_s,
                    predicted_p90_s=0.0,
                    strain=world.strain(name),
                ),
            )
        known.rivals[name] = rivals(_one_shot(probes), known.places[name].recursion.theta[:3])
    return known


def _one_shot(probes: list[Answer]) -> tuple[float, float, float]:
    """Seconds a request, an input token and an output token, from the first three probes."""
    small, large, long = probes[:3]
    read = max(1e-4, (large.total_s - small.total_s) / (large.tokens_in - small.tokens_in))
    write = max(1e-4, (long.total_s - long.first_s) / max(1, long.tokens_out - 1))
    return max(1e-3, small.total_s - read * small.tokens_in), read, write


async def capacity(world: World, name: str, *, rounds: int = 5) -> float:
    """Requests a second of the mix with every slot taken."""
    from playing import sizes_of  # noqa: PLC0415  that module needs this one

    chance, began, count = random.Random(5), time.monotonic(), 0  # noqa: S311  sizes, no secret

    async def work(number: int) -> None:
        nonlocal count
        for turn in range(rounds):
            _, tokens_in, tokens_out = sizes_of(chance)
            await world.serve(name, sizes=(tokens_in, tokens_out), seed=number * 100 + turn)
            count += 1

    await asyncio.gather(*[work(number) for number in range(EDGE_SLOTS)])
    return round(count / (time.monotonic() - began), 3)
