#!/usr/bin/env python3
"""The live bench's policies in virtual time: the same traffic and weather, many more seeds.

    .venv/bin/python bench/placement/virtual.py                              # half a minute
    .venv/bin/python bench/placement/virtual.py --seen bench/out/placement-live.csv --seeds 50

Both engines are engines of steps that cost what was learned from a recording of the live bench;
the edge's take twice as long while the other load works, each step strays by 15 %. Player, rules
and predictors are the live bench's own. It tells what a policy gains where the live windows are
too short to tell. Writes bench/out/placement-virtual.json.
"""

import argparse
import asyncio
import json
import math
import pathlib
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench" / "placement")]

from playing import Play, Played  # noqa: E402  the folders above must be known first
from real import Answer  # noqa: E402  as above
from rules import EVERYWHERE, MISS_COST, policies  # noqa: E402  as above
from tables import show, table_of, verdict  # noqa: E402  as above
from traffic import asks, short_weather  # noqa: E402  as above
from twin import CONTENDED, LIMITS, kept, steps_of  # noqa: E402  as above
from world import RTT_S, RTT_SPREAD, SLOTS, World, clock  # noqa: E402  as above

from littoral.domain.platform import Steps  # noqa: E402  as above
from littoral.testing.loop import simulate  # noqa: E402  as above
from sim.knowing import RECORDED, Known, begun, read  # noqa: E402  as above
from sim.policies import Policy  # noqa: E402  as above

OUT = ROOT / "bench" / "out"
STRAY = 0.15
"""Log standard deviation of a step's time."""
SPAN_S = 60.0


class Load:
    """The other load beside the edge."""

    def __init__(self) -> None:
        self.on = False

    def turn(self, *, on: bool) -> None:
        """Let it work, or rest."""
        self.on = on


@dataclass(slots=True)
class Asked:
    """A request within an engine; ``gone`` once its caller is."""

    tokens_in: int
    tokens_out: int
    made: int = 0
    first: float = 0.0
    gone: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Stepped:
    """An engine that reads new inputs whole, then writes a token of each answer in a step.

    Args:
        steps: What a step costs.
        slots: Requests served at a time.
        slow: How many times as long a step takes now.
        chance: By how much it strays.
    """

    def __init__(
        self, steps: Steps, *, slots: int, slow: Callable[[], float], chance: random.Random
    ) -> None:
        self._steps, self._slots, self._slow, self._chance = steps, slots, slow, chance
        self._queue: deque[Asked] = deque()
        self._served: list[Asked] = []
        self._wake = asyncio.Event()

    async def serve(self, tokens_in: int, tokens_out: int) -> Asked:
        """Serve one request to its end."""
        asked = Asked(tokens_in, tokens_out)
        self._queue.append(asked)
        self._wake.set()
        try:
            await asked.done.wait()
        finally:
            asked.gone = True
        return asked

    async def run(self) -> None:
        """Take steps until cancelled."""
        while True:
            reads = self._enter()
            if not self._served:
                self._wake.clear()
                await self._wake.wait()
                continue
            took = self._steps.b0 + self._steps.b1 * reads + self._steps.b2 * len(self._served)
            stray = math.exp(self._chance.gauss(0.0, STRAY))
            await asyncio.sleep(took * self._slow() * stray)
            for asked in self._served:
                asked.first = asked.first or clock()
                asked.made += 1
                if asked.made >= asked.tokens_out:
                    asked.done.set()

    def _enter(self) -> int:
        """Let those who wait into free slots; returns their tokens to read."""
        self._served = [a for a in self._served if not (a.gone or a.done.is_set())]
        reads = 0
        while self._queue and len(self._served) < self._slots:
            asked = self._queue.popleft()
            if not asked.gone:
                self._served.append(asked)
                reads += asked.tokens_in
        return reads


class Virtual(World):
    """The live bench's world with engines of steps.

    Args:
        known: What was learned of the real ones.
        deadlines: By kind, seconds.
        seed: Of how steps stray.
    """

    def __init__(self, known: Known, deadlines: dict[str, float], seed: int) -> None:
        load, chance = Load(), random.Random(seed)  # noqa: S311  engines, no secret
        self.spinner, self.cut, self.deadlines = load, False, deadlines
        self.stepped = {
            name: Stepped(
                steps_of(known, name), slots=SLOTS[name], chance=chance,
                slow=lambda name=name: CONTENDED if name == "edge" and load.on else 1.0,
            )
            for name in SLOTS
        }  # fmt: skip
        self._strains = {name: (_Told(self, name), deque([(clock(), 1.0)])) for name in SLOTS}
        self.engines = {name: _Pid() for name in SLOTS}

    async def serve(self, name: str, *, sizes: tuple[int, int], seed: int) -> Answer:
        """One request, the link before the cloud included."""
        began = clock()
        if name == "cloud":
            chance = random.Random(seed)  # noqa: S311  a link, no secret
            await asyncio.sleep(RTT_S * math.exp(chance.gauss(0.0, RTT_SPREAD)))
        found = await self.stepped[name].serve(*sizes)
        return Answer(found.first - began, clock() - began, *sizes)


class _Pid:
    """An engine that has no process."""

    pid = 0


class _Told:
    """Strain of a place as it is, for who reads it of processes elsewhere."""

    def __init__(self, world: Virtual, name: str) -> None:
        self._world, self._name = world, name

    def read(self, _pids: Sequence[int]) -> float:
        """Of its core, now."""
        return CONTENDED if self._name == "edge" and self._world.spinner.on else 1.0


async def played(
    known: Known, policy: tuple[str, Policy], deadlines: dict[str, float], *, rate: float, seed: int
) -> Played:
    """One policy on the requests and the weather of one seed."""
    name, rule = policy
    world = Virtual(known, deadlines, seed)
    made = asks(deadlines, rate=rate, seed=seed, span_s=SPAN_S)
    running = [asyncio.create_task(each.run()) for each in world.stepped.values()]
    try:
        async with world.watching(), world.weather(short_weather(seed, SPAN_S)):
            return await Play(world, known.copy(), rule, name=name).run(
                made, seed=seed, span_s=SPAN_S
            )
    finally:
        for task in running:
            task.cancel()


def learned(path: pathlib.Path) -> Known:
    """All that a recording teaches."""
    rows = sorted(read(path))
    known = begun([each for each in rows if each.came < 0.0], SLOTS)
    for each in rows:
        if each.came >= 0.0:
            known.learn(each, known.promise(each)[0])
    return known


def compared(
    known: Known, load: float, *, deadlines: dict[str, float], options: argparse.Namespace
) -> dict[str, Any]:
    """All policies at one load."""
    rate = load * options.pace

    def total(limit: int) -> int:
        return sum(
            kept(
                known, limit, weather=short_weather(seed, SPAN_S),
                made=asks(deadlines, rate=rate, seed=seed, span_s=SPAN_S),
            )
            for seed in range(options.seeds)
        )  # fmt: skip

    limit = max(LIMITS, key=total)
    made = policies(limit, miss_cost=options.miss_cost)
    rules = {name: rule for name, rule in made.items() if name in EVERYWHERE}
    runs = {
        name: [
            simulate(lambda: played(known, (name, rule), deadlines, rate=rate, seed=seed))  # noqa: B023  called at once
            for seed in range(options.seeds)
        ]
        for name, rule in rules.items()
    }  # fmt: skip
    table = table_of(runs)
    found = {"rate": rate, "span_s": SPAN_S, "threshold": limit, "policies": table}
    return found | {"verdict": verdict(runs, table, load)}


def main() -> int:
    """Play all; 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seen", type=pathlib.Path, default=RECORDED, help="a recording")
    parser.add_argument("--deadlines", default="chat=0.73,rag=0.93,sum=1.84", help="seconds")
    parser.add_argument("--pace", type=float, default=4.87, help="the edge's, requests a second")
    parser.add_argument("--loads", default="0.3,0.6,0.9", help="shares of that pace")
    parser.add_argument("--miss-cost", type=float, default=MISS_COST, help="of a deadline, USD")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    pairs = [each.split("=") for each in options.deadlines.split(",")]
    deadlines = {name: float(value) for name, value in pairs}
    known, loads = learned(options.seen), dict[str, Any]()
    for load in map(float, options.loads.split(",")):
        loads[f"{load:g}"] = compared(known, load, deadlines=deadlines, options=options)
        print(f"load {load:g} of the edge's pace, {options.seeds} seeds of {SPAN_S:.0f} s")
        show(loads[f"{load:g}"]["policies"], loads[f"{load:g}"]["verdict"])
    OUT.mkdir(exist_ok=True)
    (OUT / "placement-virtual.json").write_text(json.dumps({"loads": loads}, indent=1) + "\n")
    return 0 if all(each["verdict"]["met"] for each in loads.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
