#!/usr/bin/env python3
"""What the loop over audits does when a model is silently degraded: the simulation of tests/sim.

    make bench-audits
    .venv/bin/python bench/audits/run.py --seeds 20

Virtual time and fixed seeds: the same figures everywhere. They go to bench/out/audits.json.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from sim.quality import BUDGET, REQUESTS, TAGS, Played, play  # noqa: E402  the folder above first

OUT = ROOT / "bench" / "out" / "audits.json"
CASES = {"nothing broken": 0.0, "a third of the tags broken": 1 / 3, "all tags broken": 1.0}


def summed(runs: Sequence[Played]) -> dict[str, float]:
    """What is told of some runs: losses are points a request, shares percent."""
    looks = sum(run.looks for run in runs)
    return {
        "seeds": len(runs),
        "within_budget": sum(run.loss <= BUDGET for run in runs),
        "loss_mean": 100 * sum(run.loss for run in runs) / len(runs),
        "loss_worst": 100 * max(run.loss for run in runs),
        "late_loss_worst": 100 * max(run.late_loss for run in runs),
        "cheap_share": 100 * sum(run.cheap for run in runs) / len(runs),
        "alarms": sum(run.alarms for run in runs),
        "false_alarms": sum(run.false for run in runs),
        "false_alarm_rate": 100 * sum(run.false for run in runs) / looks,
    }


def main() -> None:
    """Play, print a table, and write it down."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seeds", type=int, default=20, help="runs of each case")
    seeds = range(given.parse_args().seeds)
    found = {name: summed([play(at, broken=part) for at in seeds]) for name, part in CASES.items()}
    budget = 100 * BUDGET
    print(f"{TAGS} tags, {REQUESTS} requests, budget {budget:g} points a request; broken: at half")
    for name, each in found.items():
        print(
            f"{name:27} within budget {each['within_budget']}/{each['seeds']}, "
            f"loss {each['loss_mean']:.2f}, worst {each['loss_worst']:.2f}, "
            f"second half {each['late_loss_worst']:.2f}, cheap {each['cheap_share']:.0f} %, "
            f"false alarms {each['false_alarms']} of {each['alarms']}, "
            f"{each['false_alarm_rate']:.2f} % of looks"
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"budget": budget, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
