#!/usr/bin/env python3
"""Where requests go on real engines: two of them, other load, a link that is cut, open arrivals.

    .venv/bin/python bench/placement/live.py --edge Q4_0.gguf --cloud Q8_0.gguf   # 40 minutes
    .venv/bin/python bench/placement/live.py --quick --edge ... --cloud ...       # two: a look

The edge is llama.cpp with four slots on one core, beside a process that wants the core whole for
about two fifths of the time and of which nobody is told; the cloud the same with eight slots on
another core behind a link of 60 ms that is cut for a fifth of each run. Predictors, rule, harm and
strain are those that serve. In this order: the pace with each number in service, predictions with
rivals beside them, the mean seconds at shares of the predicted capacity, and the policies: of each
seed all play the same requests in the same weather, one after the other in an order drawn anew,
each beginning with what was learned while predicting. Writes bench/out/placement-live.json, .md
and .csv (what was seen, to be replayed), and plots, after each part.
"""

import argparse
import asyncio
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench" / "placement")]

import anyio  # noqa: E402  the folders above must be known first
from drawing import draw  # noqa: E402  as above
from playing import Play, Played  # noqa: E402  as above
from real import Spinner, model_of, serving  # noqa: E402  as above
from rules import EVERYWHERE, TOGETHER, mixed, policies  # noqa: E402  as above
from sizing import paced, sized  # noqa: E402  as above
from tables import markdown, predictions, show, table_of, verdict  # noqa: E402  as above
from traffic import CUT, asks, long_weather, short_weather  # noqa: E402  as above
from twin import LIMITS, kept  # noqa: E402  as above
from world import CLOUD_SLOTS, EDGE_SLOTS, World, calibrate  # noqa: E402  as above

from sim.knowing import Known, Scored, Seen, judged, settling  # noqa: E402  as above
from sim.knowing import write as write_seen  # noqa: E402  as above

OUT = ROOT / "bench" / "out"
LIVE_DEADLINES = {"chat": 3.0, "rag": 3.0, "sum": 3.5}
"""Deadlines as multiples of what the slower engine takes alone for a middling request."""
PREDICTING = 0.4
"""Share of the edge's pace with every slot taken that comes to both places while predicting."""
UNPLAYED = 99
"""A seed that no policy plays: the predictions'."""


class Bench:
    """One run: what is to be done, and what was found so far.

    Args:
        world: The engines.
        options: What was asked for.
    """

    def __init__(self, world: World, options: argparse.Namespace) -> None:
        self.world, self.options = world, options
        self.live: dict[str, Any] = {}
        self.scored: list[Scored] = []
        self._probes: list[Seen] = []
        self._began = time.monotonic()

    async def run(self) -> int:
        """Do all of it; 1 where a target was missed."""
        known, self._probes = await calibrate(self.world)
        self.world.set_deadlines(known, LIVE_DEADLINES)
        self.live["conditions"] = conditions(self.options, self.world)
        self._note(f"deadlines, s: {self.world.deadlines}")
        paces = await paced(
            self.world, "edge", span_s=self.options.pacing, steps=range(1, EDGE_SLOTS + 1)
        )
        edge = paces[-1].rate
        known = await self._predict(known, edge)
        self._note("predicted")
        if self.options.sizing:
            self.live["capacity"] = await sized(
                self.world, known, paces, span_s=self.options.sizing
            )
            self._note("sized")
        if self.options.window:
            await self._compare(known, edge)
        return self._told()

    async def _predict(self, known: Known, edge: float) -> Known:
        span_s = self.options.predicting
        made = asks(self.world.deadlines, rate=PREDICTING * edge, seed=UNPLAYED, span_s=span_s)
        play = Play(self.world, known, mixed, name="mixed")
        async with self.world.weather(long_weather(UNPLAYED, span_s)):
            played = await play.run(made, seed=UNPLAYED, span_s=span_s)
        self.scored = list(played.scored)
        self.live["prediction"] = judged(self.scored)
        self.live["prediction"]["goals"] = goals(self.live["prediction"])
        OUT.mkdir(exist_ok=True)
        write_seen(
            [*self._probes, *(each.seen for each in self.scored)], OUT / "placement-live.csv"
        )
        print(predictions(self.live["prediction"]), flush=True)
        return play.known

    async def _compare(self, known: Known, edge: float) -> None:
        """Play the policies of each seed, one after the other, at every load."""
        loads = self.live["loads"] = dict[str, Any]()
        middle = self.options.loads[len(self.options.loads) // 2]
        for load in self.options.loads:
            rate, span_s = load * edge, self._span_s(load)
            limit = self._limit(known, rate, span_s)
            rules = policies(limit)
            names = [name for name in rules if load == middle or name in EVERYWHERE]
            runs: dict[str, list[Played]] = {name: [] for name in names}
            for seed in range(self.options.seeds):
                for group in groups(names, seed):
                    plays = [Play(self.world, known.copy(), rules[n], name=n) for n in group]
                    found = await self._play(plays, rate=rate, seed=seed, span_s=span_s)
                    for name, played in zip(group, found, strict=True):
                        runs[name].append(played)
            table = table_of(runs)
            loads[f"{load:g}"] = {
                "rate": rate, "span_s": span_s, "threshold": limit, "policies": table,
                "verdict": verdict(runs, table, load),
            }  # fmt: skip
            self._note(f"load {load:g} of the edge's pace: {rate:.2f}/s; threshold {limit} tokens")
            show(table, loads[f"{load:g}"]["verdict"])
            self._write()

    async def _play(
        self, plays: list[Play], *, rate: float, seed: int, span_s: float
    ) -> list[Played]:
        made = asks(self.world.deadlines, rate=rate, seed=seed, span_s=span_s)
        async with self.world.weather(short_weather(seed, span_s)):
            return await asyncio.gather(
                *[play.run(made, seed=seed, span_s=span_s) for play in plays]
            )

    def _span_s(self, load: float) -> float:
        """Lighter loads are played longer, so that about as many requests come."""
        middle = self.options.loads[len(self.options.loads) // 2]
        return self.options.window * min(1.5, max(0.85, (middle / load) ** 0.5))

    def _limit(self, known: Known, rate: float, span_s: float) -> int:
        """The threshold that keeps most deadlines of these very requests, in the twin."""

        def total(limit: int) -> int:
            return sum(
                kept(
                    known,
                    limit,
                    made=asks(self.world.deadlines, rate=rate, seed=seed, span_s=span_s),
                    weather=short_weather(seed, span_s),
                )
                for seed in range(self.options.seeds)
            )  # fmt: skip

        return max(LIMITS, key=total)

    def _note(self, text: str) -> None:
        print(f"[{(time.monotonic() - self._began) / 60:.1f} min] {text}", flush=True)
        self._write()

    def _write(self) -> None:
        OUT.mkdir(exist_ok=True)
        (OUT / "placement-live.json").write_text(json.dumps(self.live, indent=1) + "\n")
        (OUT / "placement-live.md").write_text(markdown(self.live))

    def _told(self) -> int:
        self._write()
        draw(self.scored, self.live.get("loads", {}), OUT, settling=settling(self.scored))
        print(f"\n{markdown(self.live)}\nwrote bench/out/placement-live.json, .md, .csv and plots")
        met = {
            "prediction": all(self.live["prediction"]["goals"].values()),
            "capacity": self.live.get("capacity", {}).get("met"),
            "policies": all(each["verdict"]["met"] for each in self.live.get("loads", {}).values()),
        }
        print(f"targets: {met}")
        return 0 if all(each is not False for each in met.values()) else 1


def goals(found: dict[str, Any]) -> dict[str, bool]:
    """Which targets of the predictions are met."""
    rivals = [row["pinball"] for name, row in found["rivals"].items() if "known" not in name]
    return {
        "coverage": abs(found["coverage_p90"] - 0.9) <= 0.05,
        "bias": abs(found["bias"]) <= 0.10,
        "mdape_known_length": found["mdape_known_length"] <= 0.25,
        "better_than_rivals": found["pinball"] < min(rivals),
    }


def groups(names: list[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Policies in an order of the seed; those of which none touches the other's are together."""
    alone = [(name,) for name in names if name not in TOGETHER]
    every: list[tuple[str, ...]] = [*alone, tuple(name for name in TOGETHER if name in names)]
    random.Random(seed).shuffle(every)  # noqa: S311  an order, no secret
    yield from every


def conditions(options: argparse.Namespace, world: World) -> dict[str, Any]:
    """What the figures hold for."""
    commit = subprocess.run(
        ["/usr/bin/env", "git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "load_average": options.load_average, "commit": commit.stdout.strip(),
        "seeds": options.seeds, "window_s": options.window,
        "edge": pathlib.Path(options.edge).name, "edge_slots": EDGE_SLOTS,
        "cloud": pathlib.Path(options.cloud).name, "cloud_slots": CLOUD_SLOTS,
        "deadlines_s": world.deadlines, "cut_share": CUT,
    }  # fmt: skip


async def run(options: argparse.Namespace) -> int:
    """Start both engines and the other load."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as logs:
        async with (
            serving(options.edge, slots=EDGE_SLOTS, core=cores[0], logs=logs) as edge,
            serving(options.cloud, slots=CLOUD_SLOTS, core=cores[-1], logs=logs) as cloud,
        ):
            spinner = Spinner(cores[0])
            try:
                world = World({"edge": edge, "cloud": cloud}, spinner)
                async with world.watching():
                    return await Bench(world, options).run()
            finally:
                spinner.end()


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", default="", help="weights of the edge, GGUF; else --model")
    parser.add_argument("--cloud", default="", help="weights of the cloud, GGUF; else --model")
    parser.add_argument("--model", default="smollm2-135m", help="a model of the catalogue")
    parser.add_argument("--data", default=str(ROOT / "bench" / "out" / "weights"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pacing", type=float, default=12.0, help="seconds of each pace")
    parser.add_argument("--predicting", type=float, default=450.0, help="seconds")
    parser.add_argument("--sizing", type=float, default=100.0, help="seconds of each share; 0: not")
    parser.add_argument("--window", type=float, default=12.0, help="seconds of a play; 0: none")
    parser.add_argument("--loads", default="0.3,0.6,0.9", help="shares of the edge's pace")
    parser.add_argument("--quick", action="store_true", help="a look: two minutes")
    options = parser.parse_args()
    options.load_average = os.getloadavg()[0]
    if options.quick:
        options.seeds, options.pacing, options.predicting = 1, 3.0, 40.0
        options.sizing, options.window, options.loads = 10.0, 6.0, "0.6"
    options.loads = [float(each) for each in options.loads.split(",") if each]
    if not (options.edge and options.cloud):
        found = model_of(options.data, options.model)
        options.edge, options.cloud = options.edge or found, options.cloud or found
    return options


if __name__ == "__main__":
    sys.exit(anyio.run(run, parsed()))
