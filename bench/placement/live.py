#!/usr/bin/env python3
"""Where requests go on real engines: two of them, other load, a link that is cut, open arrivals.

    .venv/bin/python bench/placement/live.py --edge Q4_0.gguf --cloud Q8_0.gguf
    .venv/bin/python bench/placement/live.py --seeds 1 --requests 15 --loads 0.6  # a look

The edge is llama.cpp with four slots on one core, beside a process that wants the core whole for
about two fifths of the time and of which nobody is told; the cloud the same with eight slots on
another core behind a link of 60 ms that is cut for a fifth of each run. Predictors, rule, harm and
strain are those that serve. First everything is predicted for a while (``prediction``), rivals
beside it; then each policy plays the same requests, seed by seed, from what was learned then.
Writes bench/out/placement.json and plots.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench" / "placement")]

import anyio  # noqa: E402  the folders above must be known first
from drawing import draw  # noqa: E402  as above
from playing import CUT_S, EDGE_SLOTS, POLICIES, STATIC, Play, Played  # noqa: E402  as above
from real import Engine, Spinner, model_of, serving  # noqa: E402  as above
from run import OUT, error, mean  # noqa: E402  as above
from world import CLOUD_SLOTS, Known, World, calibrate, capacity  # noqa: E402  as above

from littoral.cost.residual import Pair, score  # noqa: E402  as above

SETTLING = 60
"""Predictions before the first that is scored: cold ones are not held to anything."""
MOST_COST = 0.60
HEAVY = 0.9
HEAVY_COST = 0.75
LIVE_DEADLINES = {"chat": 3.0, "rag": 3.0, "sum": 3.5}
"""Deadlines as multiples of what the slower engine takes alone for a middling request."""


def accuracy(pairs: list[Pair]) -> dict[str, float]:
    """The figures of many predictions."""
    found = score(pairs)
    return {
        "seen": found.seen, "coverage_p90": found.coverage,
        "coverage_low": found.coverage_low, "coverage_high": found.coverage_high,
        "bias": found.bias, "mdape": found.mdape, "wape": found.wape,
        "sharpness": found.sharpness, "pinball": found.pinball,
    }  # fmt: skip


def settling(played: Played) -> int:
    """How many predictions come before the first that is scored: at most a third of a short run."""
    return min(SETTLING, len(played.scored) // 3)


def judged(played: Played) -> dict[str, Any]:
    """How right everybody's predictions were, after settling."""
    rows = played.scored[settling(played) :]
    names = {name for row in rows for name in row.promised}
    table = {
        name: accuracy([Pair(*row.promised[name], row.total_s) for row in rows])
        for name in sorted(names)
    }
    ours, known = table.pop("ours"), table.pop("ours_known_length")
    first = accuracy([Pair(*row.first, row.first_s) for row in rows])
    strained = [row for row in rows if row.strained]
    contended = accuracy([Pair(*row.promised["ours"], row.total_s) for row in strained])
    return ours | {
        "mdape_known_length": known["mdape"], "bias_known_length": known["bias"],
        "coverage_known_length": known["coverage_p90"], "first": first,
        "during_contention": contended, "rivals": table,
    }  # fmt: skip


def table_of(runs: dict[str, list[Played]]) -> dict[str, dict[str, Any]]:
    """The figures of every policy at one load."""
    cloud = mean([run.cost for run in runs["cloud_only"]]) or 1.0
    best = [run.attainment for run in runs["oracle"]]
    return {
        name: {
            "slo_attainment": mean([run.attainment for run in each]),
            "slo_attainment_se": error([run.attainment for run in each]),
            "cost": mean([run.cost for run in each]),
            "cost_of_cloud_only": mean([run.cost for run in each]) / cloud,
            "failed": mean([run.failed for run in each]),
            "shed": mean([run.shed for run in each]),
            "cloud": mean([run.cloud for run in each]),
            "regret": mean([top - run.attainment for top, run in zip(best, each, strict=True)]),
            "requests": sum(run.requests for run in each),
        }
        for name, each in runs.items()
    }


def verdict(runs: dict[str, list[Played]], table: dict[str, dict[str, Any]], load: float) -> bool:
    """Whether ours keeps at least as many deadlines as the best rule, for little enough money."""
    best = max(STATIC, key=lambda name: table[name]["slo_attainment"])
    pairs = zip(runs["p90_bound"], runs[best], strict=True)
    gain = [ours.attainment - other.attainment for ours, other in pairs]
    share = table["p90_bound"]["cost_of_cloud_only"]
    most = HEAVY_COST if load >= HEAVY else MOST_COST
    met = mean(gain) >= 0.0 and share <= most
    print(
        f"  {'met' if met else 'MISSED'}: p90_bound - {best} {100 * mean(gain):+.1f} +- "
        f"{100 * error(gain):.1f} points, {share:.0%} of cloud-only (<= {most:.0%})",
        flush=True,
    )
    return met


async def compare(world: World, known: Known, options: argparse.Namespace) -> dict[str, Any]:
    """Play every policy at every load, the policies of a seed one after the other."""
    loads: dict[str, Any] = {}
    for load in options.loads:
        rate = load * world.capacity["edge"]
        runs: dict[str, list[Played]] = {name: [] for name in POLICIES}
        for seed in range(options.seeds):
            order = list(POLICIES)
            random.Random(seed).shuffle(order)  # noqa: S311  an order, no secret
            for name in order:
                play = Play(world, known.copy(), POLICIES[name], name=name)
                runs[name].append(
                    await play.run(rate=rate, seed=seed, span_s=options.requests / rate)
                )
        table = table_of(runs)
        print(f"load {load:g} of the edge's capacity: {rate:.2f} requests a second")
        for name, row in table.items():
            print(
                f"  {name:15} kept {row['slo_attainment']:6.1%} +- {row['slo_attainment_se']:5.1%}"
                f"  cost {row['cost_of_cloud_only']:4.0%}  failed {row['failed']:5.1%}  "
                f"shed {row['shed']:5.1%}  cloud {row['cloud']:4.0%}",
                flush=True,
            )
        loads[f"{load:g}"] = {
            "rate": rate,
            "met": verdict(runs, table, load),
            "policies": table,
        }
    return loads


def conditions(options: argparse.Namespace, world: World) -> dict[str, Any]:
    """What the figures hold for."""
    commit = subprocess.run(
        ["/usr/bin/env", "git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0], "commit": commit.stdout.strip(),
        "seeds": options.seeds, "requests": options.requests,
        "edge": pathlib.Path(world.weights["edge"]).name, "edge_slots": EDGE_SLOTS,
        "cloud": pathlib.Path(world.weights["cloud"]).name, "cloud_slots": CLOUD_SLOTS,
        "capacity": world.capacity, "deadlines_s": world.deadlines, "cut_share": CUT_S,
    }  # fmt: skip


def write(live: dict[str, Any], prediction: dict[str, Any]) -> None:
    """Put the figures beside those of the simulation; what was live stands at the top."""
    OUT.parent.mkdir(exist_ok=True)
    kept = json.loads(OUT.read_text()) if OUT.exists() else {}
    loads = live["loads"]
    middle = loads[sorted(loads, key=float)[len(loads) // 2]] if loads else {"policies": {}}
    kept |= {"live": live, "prediction": prediction, "policies": middle["policies"]}
    OUT.write_text(json.dumps(kept, indent=1) + "\n")


async def measure(options: argparse.Namespace, engines: dict[str, Engine], spinner: Spinner) -> int:
    """Calibrate, predict, play, write."""
    weights = {"edge": options.edge, "cloud": options.cloud}
    world = World(engines, spinner, weights=weights)
    async with world.watching():
        known = await calibrate(world)
        world.capacity = {name: await capacity(world, name) for name in engines}
        world.set_deadlines(known, LIVE_DEADLINES)
        print(f"capacity, requests a second: {world.capacity}; deadlines, s: {world.deadlines}")
        learned = Play(world, known, POLICIES["mixed"], name="mixed")
        rate = 0.5 * world.capacity["edge"]
        span_s = min(options.warm, options.predictions / rate)
        played = await learned.run(rate=rate, seed=99, span_s=span_s)
        prediction = judged(played)
        shown = {k: v for k, v in prediction.items() if not isinstance(v, dict)}
        print("prediction", json.dumps(shown), flush=True)
        for name, row in prediction["rivals"].items():
            print(f"  {name:28} covers {row['coverage_p90']:.1%} bias {row['bias']:+.1%} "
                  f"mdape {row['mdape']:.1%} pinball {row['pinball']:.3f}")  # fmt: skip
        live = {"conditions": conditions(options, world), "loads": {}}
        write(live, prediction)
        del POLICIES["mixed"]
        live["loads"] = await compare(world, learned.known, options)
    write(live, prediction)
    draw(played, live["loads"], OUT.parent, settling=settling(played))
    print(f"wrote {OUT.relative_to(ROOT)} and placement-*.svg")
    right = abs(prediction["coverage_p90"] - 0.9) <= 0.05 and abs(prediction["bias"]) <= 0.1
    right &= prediction["mdape_known_length"] <= 0.25
    print(f"predictions {'within' if right else 'OUTSIDE'} the bounds of the acceptance")
    return 0 if right and all(each["met"] for each in live["loads"].values()) else 1


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
                return await measure(options, {"edge": edge, "cloud": cloud}, spinner)
            finally:
                spinner.end()


def main() -> int:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edge", default="", help="weights of the edge, GGUF; else --model")
    parser.add_argument("--cloud", default="", help="weights of the cloud, GGUF; else --model")
    parser.add_argument("--model", default="smollm2-135m", help="a model of the catalogue")
    parser.add_argument("--data", default=str(ROOT / "bench" / "out" / "weights"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40, help="of each run, about")
    parser.add_argument("--predictions", type=int, default=600, help="to judge, about")
    parser.add_argument("--warm", type=float, default=900.0, help="most seconds for them")
    parser.add_argument("--loads", default="0.3,0.6,0.9", help="shares of the edge's capacity")
    options = parser.parse_args()
    options.loads = [float(each) for each in options.loads.split(",") if each]
    if not (options.edge and options.cloud):
        found = model_of(options.data, options.model)
        options.edge, options.cloud = options.edge or found, options.cloud or found
    return anyio.run(run, options)


if __name__ == "__main__":
    sys.exit(main())
