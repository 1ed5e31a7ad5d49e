"""Playing: one policy on one run of requests, on the engines."""

import asyncio
import copy
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rules import PRICED
from traffic import TAGS
from world import SLOTS, World, clock

from littoral.placement.decide import Row
from littoral.placement.harm import Flight, slope
from sim.knowing import Known, Scored, Seen
from sim.policies import Policy, View
from sim.stepper import Ask

PRICE_IN, PRICE_OUT = 0.15, 0.60
LONGEST = 4.0
"""A caller is gone after so many deadlines."""
BEAT_S, LOST = 0.5, 2
"""Beats that tell whether the link is there; after so many missed it is believed to be down."""


@dataclass(frozen=True, slots=True)
class Played:
    """One run: shares of all requests; cost is USD per million requests, ``goodput`` 1/s."""

    requests: int
    attainment: float
    goodput: float
    cost: float
    failed: float
    shed: float
    cloud: float
    total_s: tuple[float, ...]
    scored: tuple[Scored, ...]


class Play:
    """One run of one policy.

    Args:
        world: The engines.
        known: What was learned so far; it goes on from there.
        policy: The rule.
        name: Its name.
    """

    def __init__(self, world: World, known: Known, policy: Policy, *, name: str) -> None:
        self.world, self.known = world, known
        self._policy, self._name = policy, name
        self._loads = {"edge": 0, "cloud": 0}
        self._flying: dict[int, Ask] = {}
        self._began = 0.0
        self._beats: list[bool] = []
        self._cost = 0.0
        self._scored: list[Scored] = []

    async def run(self, made: Sequence[Ask], *, seed: int, span_s: float) -> Played:
        """Let all requests come, on time whatever happens to those before."""
        mine = [copy.copy(each) for each in made]
        self._began = clock()
        beat = asyncio.create_task(self._beat())
        tasks = []
        for number, each in enumerate(mine):
            await asyncio.sleep(max(0.0, each.came - self._now()))
            tasks.append(asyncio.create_task(self._place(each, number, seed)))
        await asyncio.gather(*tasks)
        beat.cancel()
        total = max(1, len(mine))
        kept = sum(each.ended - each.came <= each.deadline for each in mine)
        return Played(
            requests=len(mine),
            attainment=kept / total,
            goodput=kept / span_s,
            cost=self._cost / total * 1e6,
            failed=sum(math.isinf(each.ended) and each.place != "shed" for each in mine) / total,
            shed=sum(each.place == "shed" for each in mine) / total,
            cloud=sum(each.place == "cloud" for each in mine) / total,
            total_s=tuple(each.ended - each.came for each in mine),
            scored=tuple(self._scored),
        )

    def _now(self) -> float:
        return clock() - self._began

    async def _beat(self) -> None:
        while True:
            self._beats.append(not self.world.cut)
            await asyncio.sleep(BEAT_S)

    def _believed_up(self) -> bool:
        """Down after two missed beats, up after two good ones."""
        last = self._beats[-LOST:]
        if all(last):
            return True
        return any(last) and all(self._beats[-2 * LOST : -LOST])

    async def _place(self, each: Ask, number: int, seed: int) -> None:
        up = self._believed_up()
        usual = self.known.usual(each.tag)
        view = View(
            ask=each,
            rows=self._rows(up=up),
            loads=(self._loads["edge"], self._loads["cloud"]),
            tokens_out=usual[0],
            length=usual[1],
            cloud_up=up,
            truth=self._truth(),
        )
        each.place = self._policy(view)
        if each.place == "shed":
            return
        if each.place == "cloud" and self.world.cut:
            if self._name == "cloud_only":
                each.place = "failed"
                return
            await asyncio.sleep(min(1.0, 0.3 * each.deadline) if self._name in PRICED else 1.0)
            each.place = "edge"
        await self._serve(each, number, seed)

    async def _serve(self, each: Ask, number: int, seed: int) -> None:
        place, since = each.place, clock()
        each.began, each.active = self._now(), self._loads[place]
        strain = self.world.strain(place)
        came = Seen(
            each.began, place, each.tag, each.tokens_in, each.tokens_out, each.active, strain, 0.0
        )
        promised, first = self.known.promise(came)
        each.p50, each.p90 = promised["ours"]
        self._loads[place] += 1
        self._flying[number] = each
        try:
            async with asyncio.timeout(LONGEST * each.deadline):
                found = await self.world.serve(
                    place, sizes=(each.tokens_in, each.tokens_out), seed=seed * 10_000 + number
                )
        except (OSError, TimeoutError):
            took = came._replace(
                total_s=clock() - since, strained=self.world.mean_strain(place, since)
            )
            self.known.late(took, promised["ours"])
            return
        finally:
            self._loads[place] -= 1
            del self._flying[number]
        if place == "cloud":
            self._cost += (found.tokens_in * PRICE_IN + found.tokens_out * PRICE_OUT) / 1e6
        each.ended = self._now()
        took = came._replace(
            strained=self.world.mean_strain(place, since),
            first_s=found.first_s,
            total_s=found.total_s,
        )
        self.known.learn(took, promised)
        self._scored.append(Scored(took, promised, first))

    def _rows(self, *, up: bool) -> tuple[Row, ...]:
        edge, cloud = (
            self.known.row(name, self.world.strain(name))._replace(harm=self._harm(name))
            for name in SLOTS
        )
        return edge, cloud._replace(ready=up)

    def _truth(self) -> tuple[Row, ...]:
        """What is learned, with the other load and the link as they really are."""
        edge, cloud = self._rows(up=not self.world.cut)
        now = self.known.row("edge", 2.0 if self.world.spinner.on else 1.0)
        return now._replace(harm=edge.harm), cloud

    def _harm(self, place: str) -> float:
        """As the gateway counts it: a newcomer holds the others up while it writes."""
        now, row = self._now(), self.known.row(place, self.world.strain(place))
        writes = statistics.fmean(self.known.usual(tag)[0] for tag in TAGS)
        flights = [
            Flight(
                left_s=each.came + each.deadline - now,
                needs_s=max(0.05, each.p50 - (now - each.began)),
                spread=max(1.02, each.p90 / each.p50),
            )
            for each in self._flying.values()
            if each.place == place
        ]
        return slope(flights, delay_s=row.t_crowd * writes)
