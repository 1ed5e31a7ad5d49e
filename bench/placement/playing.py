"""Playing: one policy on one run of requests, on the engines."""

import asyncio
import math
import random
import time
from dataclasses import dataclass

from rivals import Rival
from world import CLOUD_SLOTS, EDGE_SLOTS, MOST_IN, MOST_OUT, SLOTS, TAGS, Known, World

from littoral.cost.length import seen
from littoral.cost.predictor import Outcome, fold, observe
from littoral.domain.endpoint import Folded
from littoral.placement.decide import Row, Verdict, rank
from littoral.placement.harm import Flight, slope
from sim.choosing import CLOUD, EDGE, learned
from sim.policies import (
    Policy,
    View,
    cloud_only,
    edge_only,
    mean_prediction,
    oracle,
    ours,
    p90_bound,
    threshold,
)
from sim.stepper import Ask

PRICE_IN, PRICE_OUT = 0.15, 0.60
UNEVEN = 0.5
"""Shape of the gamma of gaps between requests: their squared coefficient of variation is 2."""
CUT_S = 0.2
"""Share of a run for which the link is cut, in two pieces."""
QUIET_S, BUSY_S = (6.0, 14.0), (4.0, 10.0)
"""From and to how many seconds the other load rests and works."""
LONGEST = 4.0
"""A caller is gone after so many deadlines."""
BEAT_S, LOST = 1.0, 2
"""Beats that tell whether the link is there; after so many missed it is believed to be down."""
STRAINED = 1.3
MEAN_DELAY_S = 0.3


@dataclass(frozen=True, slots=True)
class Scored:
    """One prediction of everybody's, and what came."""

    at: float
    place: str
    promised: dict[str, tuple[float, float]]
    first: tuple[float, float]
    first_s: float
    total_s: float
    strained: bool


@dataclass(frozen=True, slots=True)
class Played:
    """One run: shares of all requests; cost is USD per million requests."""

    requests: int
    attainment: float
    cost: float
    failed: float
    shed: float
    cloud: float
    scored: list[Scored]


@dataclass(slots=True)
class Turn:
    """Counters that some rules need."""

    count: int = 0


_turn = Turn()


def round_robin(view: View) -> str:
    """In turn, where the cloud is believed to be there."""
    _turn.count += 1
    return "cloud" if view.cloud_up and _turn.count % 2 else "edge"


def least_loaded(view: View) -> str:
    """Where fewer slots are taken, by share."""
    edge, cloud = view.loads[0] / EDGE_SLOTS, view.loads[1] / CLOUD_SLOTS
    return "edge" if edge <= cloud or not view.cloud_up else "cloud"


def load_heuristic(view: View) -> str:
    """On the edge while a slot is free."""
    return "edge" if view.loads[0] < EDGE_SLOTS or not view.cloud_up else "cloud"


def mixed(view: View) -> str:
    """Of five requests three to the edge: to learn and to judge predictions by."""
    _turn.count += 1
    return "cloud" if view.cloud_up and _turn.count % 5 in {1, 3} else "edge"


POLICIES: dict[str, Policy] = {
    "edge_only": edge_only,
    "cloud_only": cloud_only,
    "round_robin": round_robin,
    "least_loaded": least_loaded,
    "size_threshold": threshold(30),
    "load_heuristic": load_heuristic,
    "mean_prediction": mean_prediction,
    "p90_bare": p90_bound,
    "p90_bound": ours,
    "oracle": oracle,
    "mixed": mixed,
}
"""``p90_bound`` is the rule that serves: bound, price of a miss, harm, refusal; ``p90_bare``
has the bound alone."""
STATIC = (
    "edge_only", "cloud_only", "round_robin", "least_loaded", "size_threshold", "load_heuristic",
)  # fmt: skip
PRICED = {"p90_bound", "p90_bare", "mean_prediction", "oracle"}


def sizes_of(chance: random.Random) -> tuple[str, int, int]:
    """Draw a kind, tokens in and tokens out."""
    draw, tag = chance.random(), "sum"
    for name, (share, *_) in TAGS.items():
        if draw < share:
            tag = name
            break
        draw -= share
    _, ins, outs = TAGS[tag]
    tokens_in = min(MOST_IN, max(8, round(math.exp(chance.gauss(*ins)))))
    return tag, tokens_in, min(MOST_OUT, max(2, round(math.exp(chance.gauss(*outs)))))


def asks(world: World, *, rate: float, seed: int, span_s: float) -> list[Ask]:
    """The requests of one seed, the same for every policy."""
    chance, now, made = random.Random(seed * 1009 + 7), 0.0, []  # noqa: S311  traffic, no secret
    while True:
        now += chance.gammavariate(UNEVEN, 1.0 / (UNEVEN * rate))
        if now > span_s:
            return made
        tag, tokens_in, tokens_out = sizes_of(chance)
        made.append(
            Ask(
                came=now, tag=tag, tokens_in=tokens_in, tokens_out=tokens_out,
                deadline=world.deadlines[tag], confidential=chance.random() < 0.15,
            )
        )  # fmt: skip


def bursts(seed: int, span_s: float) -> list[tuple[float, float]]:
    """From when to when the other load works."""
    chance, now, made = random.Random(seed * 31 + 5), 0.0, []  # noqa: S311  load, no secret
    while now < span_s:
        now += chance.uniform(*QUIET_S)
        ends = now + chance.uniform(*BUSY_S)
        made.append((now, ends))
        now = ends
    return made


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

    async def run(self, *, rate: float, seed: int, span_s: float) -> Played:
        """Let all requests come, on time whatever happens to those before."""
        made = asks(self.world, rate=rate, seed=seed, span_s=span_s)
        self._began = time.monotonic()
        side = [
            asyncio.create_task(self._disturb(bursts(seed, span_s))),
            asyncio.create_task(self._cut(span_s)),
            asyncio.create_task(self._beat()),
        ]
        tasks = []
        for number, each in enumerate(made):
            await asyncio.sleep(max(0.0, each.came - self._now()))
            tasks.append(asyncio.create_task(self._place(each, number, seed)))
        await asyncio.gather(*tasks)
        for task in side:
            task.cancel()
        self.world.spinner.turn(on=False)
        self.world.cut = False
        total = max(1, len(made))
        return Played(
            requests=len(made),
            attainment=sum(each.ended - each.came <= each.deadline for each in made) / total,
            cost=self._cost / total * 1e6,
            failed=sum(math.isinf(each.ended) and each.place != "shed" for each in made) / total,
            shed=sum(each.place == "shed" for each in made) / total,
            cloud=sum(each.place == "cloud" for each in made) / total,
            scored=self._scored,
        )

    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _disturb(self, when: list[tuple[float, float]]) -> None:
        for begin, end in when:
            await asyncio.sleep(max(0.0, begin - self._now()))
            self.world.spinner.turn(on=True)
            await asyncio.sleep(max(0.0, end - self._now()))
            self.world.spinner.turn(on=False)

    async def _cut(self, span_s: float) -> None:
        for share in (0.3, 0.7):
            await asyncio.sleep(max(0.0, share * span_s - self._now()))
            self.world.cut = True
            await asyncio.sleep(CUT_S / 2 * span_s)
            self.world.cut = False

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
        length = self.known.lengths[each.tag]
        view = View(
            ask=each,
            rows=self._rows(up=up),
            loads=(self._loads["edge"], self._loads["cloud"]),
            tokens_out=max(1, round(length.median)),
            length=length.width,
            cloud_up=up,
            truth=self._truth(),
        )
        each.place = "edge" if each.confidential else self._policy(view)
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
        place, since = each.place, time.monotonic()
        each.began, each.active = self._now(), self._loads[place]
        promised, first = self._promise(each, place)
        strained = self.world.strain(place) > STRAINED
        each.p50, each.p90 = promised["ours"]
        self._loads[place] += 1
        self._flying[number] = each
        try:
            async with asyncio.timeout(LONGEST * each.deadline):
                found = await self.world.serve(
                    place, sizes=(each.tokens_in, each.tokens_out), seed=seed * 10_000 + number
                )
        except (OSError, TimeoutError):
            self._learn(each, since=since, times=None)
            return
        finally:
            self._loads[place] -= 1
            del self._flying[number]
        if place == "cloud":
            self._cost += (found.tokens_in * PRICE_IN + found.tokens_out * PRICE_OUT) / 1e6
        each.ended = self._now()
        self._learn(each, since=since, times=(found.first_s, found.total_s))
        for name, rival in self.known.rivals[place].items():
            rival.learn(promised[name], found.total_s)
        self._scored.append(
            Scored(each.began, place, promised, first, found.first_s, found.total_s, strained)
        )

    def _promise(
        self, each: Ask, place: str
    ) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
        """What everybody says it will take, by the length that is usual and by the true one."""
        length = self.known.lengths[each.tag]
        row = next(row for row in self._rows(up=True) if row.id == place)
        usual = max(1, round(length.median))
        guess = ranked(row, each, self._loads[place], length=(usual, length.width))
        exact = ranked(row, each, self._loads[place], length=(each.tokens_out, 0.0))
        rivals: dict[str, Rival] = self.known.rivals[place]
        promised = {name: rival.predict(each, usual) for name, rival in rivals.items()}
        promised |= {
            f"{name}_known_length": rival.predict(each, each.tokens_out)
            for name, rival in rivals.items()
        }
        promised["ours"] = (guess.total_p50, guess.total_p90)
        promised["ours_known_length"] = (exact.total_p50, exact.total_p90)
        spread = math.exp(max(0.02, row.scale * row.width))
        return promised, (guess.first_p50, guess.first_p50 * spread)

    def _folds(self) -> tuple[Folded, Folded]:
        edge, cloud = (
            fold(self.known.places[name], version=0, strain=self.world.strain(name))
            for name in ("edge", "cloud")
        )
        return edge, cloud

    def _rows(self, *, up: bool) -> tuple[Row, ...]:
        edge, cloud = self._folds()
        return (
            learned(EDGE, edge)._replace(slots=EDGE_SLOTS, harm=self._harm("edge")),
            learned(CLOUD, cloud)._replace(slots=CLOUD_SLOTS, ready=up, harm=self._harm("cloud")),
        )

    def _truth(self) -> tuple[Row, ...]:
        """What is learned, with the other load and the link as they really are."""
        edge, cloud = self._rows(up=not self.world.cut)
        now = fold(
            self.known.places["edge"], version=0, strain=2.0 if self.world.spinner.on else 1.0
        )
        return learned(edge, now), cloud

    def _harm(self, place: str) -> float:
        now = self._now()
        flights = [
            Flight(
                left_s=each.came + each.deadline - now,
                needs_s=max(0.05, each.p50 - (now - each.began)),
                spread=max(1.02, each.p90 / each.p50),
            )
            for each in self._flying.values()
            if each.place == place
        ]
        return slope(flights, delay_s=MEAN_DELAY_S)

    def _learn(self, each: Ask, *, since: float, times: tuple[float, float] | None) -> None:
        place = each.place
        if times is not None:
            self.known.lengths[each.tag] = seen(self.known.lengths[each.tag], each.tokens_out)
        elapsed = time.monotonic() - since
        first, total = times or (None, elapsed)
        self.known.places[place] = observe(
            self.known.places[place],
            Outcome(
                tokens_in=each.tokens_in,
                tokens_out=each.tokens_out,
                active=each.active,
                slots=SLOTS[place],
                first_s=first,
                total_s=total,
                predicted_p90_s=each.p90,
                censored=times is None,
                strain=self.world.mean_strain(place, since),
            ),
        )


def ranked(row: Row, each: Ask, load: int, *, length: tuple[int, float]) -> Verdict:
    """What the gateway's own rule predicts for one place."""
    return rank(
        [row._replace(ready=True)],
        [load],
        tokens_in=each.tokens_in,
        tokens_out=length[0],
        mask=1,
        total_s=each.deadline,
        skip=0,
        length=length[1],
    )
