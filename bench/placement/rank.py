#!/usr/bin/env python3
"""CPU time of one decision, and of learning from one outcome.

``rank`` over 1, 2, 8 and 64 rows: without a deadline, with one, and with a price of its miss
besides. ``observe`` on outcomes of many sizes, with and without company, strain and caps.

    .venv/bin/python bench/placement/rank.py --rounds 15

Prints microseconds, the least and the median of the rounds, beside the targets, and those of a loop
of a thousand multiplications and additions in the same rounds, by which machines can be compared.
Writes ``bench/out/rank.json``; exit status 1 where the least of the rounds misses a target.
"""

import argparse
import json
import math
import pathlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from littoral.cost.predictor import Outcome, fresh, observe
from littoral.domain.ids import EndpointId
from littoral.placement.decide import Row, rank

OUT = pathlib.Path(__file__).resolve().parents[2] / "bench" / "out" / "rank.json"
COUNTS = (1, 2, 8, 64)
REPEATS = 40_000
"""Rows of a round, over all its decisions."""
OUTCOMES = 2_000
LOOP = 1_000
STAKES = {"no deadline": (math.inf, 0.0), "a deadline": (4.0, 0.0), "a priced miss": (4.0, 0.01)}
TARGETS = {8: 15.0, 64: 60.0}
"""Microseconds of a decision, whatever is at stake."""
OBSERVE_TARGET = 20.0


def rows_of(count: int) -> list[Row]:
    """Candidates alike but for speed and price, all of which keep the deadline."""
    return [
        Row(
            f"place-{at}",
            ready=True,
            mask=1,
            context=8192,
            slots=4,
            t0=0.05,
            t_in=0.0004,
            t_step=0.01 * (1.0 + 0.01 * (at % 7)),
            width=0.3,
            scale=1.0,
            price_in=0.1 + 0.01 * (at % 5),
            price_out=0.4,
            t_crowd=0.001,
            harm=0.1,
        )
        for at in range(count)
    ]


def deciding(count: int, total_s: float, miss_cost: float) -> int:
    """Decide again and again; how often."""
    rows, loads, calls = rows_of(count), [1] * count, max(100, REPEATS // count)
    for _ in range(calls):
        rank(
            rows,
            loads,
            tokens_in=300,
            tokens_out=100,
            mask=1,
            total_s=total_s,
            skip=0,
            length=0.6,
            miss_cost=miss_cost,
        )
    return calls


def outcomes() -> list[Outcome]:
    """Requests as an engine with four slots serves them, the same ones every time."""
    chance = random.Random(7)  # noqa: S311  a workload, no secret
    found: list[Outcome] = []
    for _ in range(OUTCOMES):
        ins, outs, active = chance.randrange(20, 600), chance.randrange(2, 200), chance.randrange(6)
        first = 0.05 + 0.0004 * ins + 0.05 * chance.random()
        total = first + 0.02 * outs * (1.0 + 0.1 * active)
        found.append(
            Outcome(
                tokens_in=ins,
                tokens_out=outs,
                active=active,
                slots=4,
                first_s=first,
                total_s=total,
                predicted_p90_s=total * chance.choice((0.8, 1.2, 1.5)),
                strain=chance.choice((1.0, 1.0, 1.3)),
                cap=chance.choice((None, 256)),
            )
        )
    return found


def learning(taken: list[Outcome]) -> int:
    """Learn from outcomes; of how many."""
    predictor = fresh(EndpointId("here"))
    for outcome in taken:
        predictor = observe(predictor, outcome)
    return len(taken)


def looping() -> int:
    """Multiply and add, to know how fast this machine is; how often in thousands."""
    value = 0.0
    for _ in range(20 * LOOP):
        value = value * 0.5 + 1.0
    return 20


def timed(work: Callable[[], int]) -> float:
    """Microseconds of CPU that each of what some work counts takes."""
    began = time.process_time()
    count = work()
    return (time.process_time() - began) / count * 1e6


def works() -> dict[str, tuple[Callable[[], int], float | None]]:
    """What is measured, and its target, microseconds."""
    found: dict[str, tuple[Callable[[], int], float | None]] = {
        "reference loop": (looping, None),
        "observe": (partial(learning, outcomes()), OBSERVE_TARGET),
    }
    for name, stakes in STAKES.items():
        for count in COUNTS:
            work = partial(deciding, count, *stakes)
            found[f"rank, {count} rows, {name}"] = work, TARGETS.get(count)
    return found


def main() -> int:
    """Measure, the rounds of all in turn, print, write; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description="CPU time of a decision and of an outcome.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    wanted = works()
    took: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(rounds):
        for name, (work, _) in wanted.items():
            took[name].append(timed(work))
    result, good = {}, True
    print(f"{'':34}{'least':>9}{'median':>9}{'target':>9}{'ratio':>7}{'loops':>7}")
    for name, (_, target) in wanted.items():
        least, median = min(took[name]), statistics.median(took[name])
        loops = least / min(took["reference loop"])
        ratio = None if target is None else round(least / target, 2)
        good &= ratio is None or ratio <= 1.0
        told = f"{'':16}" if target is None else f"{target:9.0f}{ratio:7.2f}"
        print(f"{name:34}{least:9.2f}{median:9.2f}{told}{loops:7.2f}")
        result[name] = {"least_us": least, "median_us": median, "target_us": target,
                        "ratio": ratio, "reference_loops": round(loops, 2)}  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
