"""World: both engines as they are now, the other load beside one, the link before the other."""

import asyncio
import math
import random
import statistics
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from real import Answer, Engine, Spinner, ask
from traffic import TAGS, Weather

from littoral.node.strain import Strain
from sim.knowing import PROBE, Known, Seen, begun

EDGE_SLOTS, CLOUD_SLOTS = 4, 8
SLOTS = {"edge": EDGE_SLOTS, "cloud": CLOUD_SLOTS}
RTT_S, RTT_SPREAD = 0.060, 0.4
LOOK_S = 0.25
QUIET = ((16, 1), (100, 1), (16, 32), (30, 16), (80, 8), (100, 20), (50, 30), (20, 8))
"""Tokens in and out of the requests of the quiet calibration; the first three are the probes."""


def clock() -> float:
    """Seconds of the loop that plays, which may be virtual ones."""
    return asyncio.get_running_loop().time()


class World:
    """The engines, the other load, the link.

    Args:
        engines: By place: edge and cloud.
        spinner: The other load.
    """

    def __init__(self, engines: dict[str, Engine], spinner: Spinner) -> None:
        self.engines, self.spinner = engines, spinner
        self.deadlines: dict[str, float] = {}
        self.cut = False
        self._strains = {
            name: (Strain(cores=(each.core,)), deque([(clock(), 1.0)], maxlen=2000))
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
                seen.append((clock(), last + 0.5 * (found - last)))
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

    @asynccontextmanager
    async def weather(self, weather: Weather) -> AsyncIterator[None]:
        """Let the other load work and the link be cut as told, and be calm afterwards."""
        began = clock()
        tasks = [
            asyncio.create_task(_switch(self._spin, weather.bursts, began)),
            asyncio.create_task(_switch(self._sever, weather.cuts, began)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._spin(on=False)
            self._sever(on=False)

    def _spin(self, *, on: bool) -> None:
        self.spinner.turn(on=on)

    def _sever(self, *, on: bool) -> None:
        self.cut = on

    def set_deadlines(self, known: Known, multiples: dict[str, float]) -> None:
        """Multiples of what the slower place takes alone for a middling request of each kind."""
        for tag, (_, ins, outs) in TAGS.items():
            x = (1.0, math.exp(ins[0]), math.exp(outs[0]) - 1.0, 0.0)
            alone = [
                sum(a * b for a, b in zip(each.recursion.theta, x, strict=True))
                for each in known.places.values()
            ]
            self.deadlines[tag] = round(multiples[tag] * max(alone), 2)


async def _switch(turn, times: Sequence[tuple[float, float]], began: float) -> None:  # noqa: ANN001  takes ``on``
    for begins, ends in times:
        await asyncio.sleep(max(0.0, begins - (clock() - began)))
        turn(on=True)
        await asyncio.sleep(max(0.0, ends - (clock() - began)))
        turn(on=False)


async def calibrate(world: World) -> tuple[Known, list[Seen]]:
    """A few requests one after the other at each place while nobody else is there."""
    probes: list[Seen] = []
    for name in world.engines:
        for number, sizes in enumerate(QUIET * 2):
            since = clock()
            found = await world.serve(name, sizes=sizes, seed=number + 1)
            strain = world.mean_strain(name, since)
            probes.append(
                Seen(
                    -1000.0 + len(probes), name, PROBE, found.tokens_in, found.tokens_out, 0,
                    strain, strain, found.first_s, found.total_s,
                )
            )  # fmt: skip
    return begun(probes, SLOTS), probes
