#!/usr/bin/env python3
"""How many seconds of a fleet's life one second of a processor simulates, and where the rest goes.

CPU time of this process, so what a busy machine does meanwhile counts little. Prints the figures
and the shares of a profile, writes ``bench/out/simulation.json``.

    make bench-simulation
    .venv/bin/python bench/simulation/run.py --edges 20 --seed 9 --short
"""

import argparse
import cProfile
import json
import platform
import pstats
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from littoral.app.command.lab import WIRE
from littoral.lab.fleet import Outcome, Plan, run_fleet

OUT = Path(__file__).parents[1] / "out" / "simulation.json"
SHORT: dict[str, dict[str, Any]] = {
    "two hours without faults": {"hours": 2.0, "faults": {}},
    "two hours, a fault every two minutes": {"hours": 2.0},
    "an hour without faults, beats each 5 s": {"hours": 1.0, "faults": {}, "metered": False},
}
DAYS: dict[str, dict[str, Any]] = {
    "a day without faults": {"faults": {}},
    "a day, a fault every ten minutes": {"fault_s": 600.0},
    "a day, a fault every two minutes": {},
}
AREAS = ("littoral/node", "littoral/testing", "littoral/domain", "littoral", "anyio", "asyncio")
"""What a file belongs to: the first of these that its path has."""


def timed(plan: Plan) -> tuple[float, Outcome]:
    """Simulated seconds a processor second, and what came of it."""
    begin = time.process_time()
    outcome = run_fleet(plan, WIRE)
    return plan.hours * 3600 / (time.process_time() - begin), outcome


def shares(plan: Plan) -> dict[str, float]:
    """Where the time of one run goes, percent, and what the greediest function has."""
    profile = cProfile.Profile()
    profile.runcall(run_fleet, plan, WIRE)
    spent, most = Counter[str](), 0.0
    for (file, _, _), (_, _, own, _, _) in pstats.Stats(profile).stats.items():
        area = "built-in" if file == "~" else next((a for a in AREAS if a in file), "other")
        spent[area] += own
        most = max(most, own)
    whole = sum(spent.values())
    found = {area: round(100 * own / whole, 1) for area, own in spent.most_common()}
    return found | {"one function at most": round(100 * most / whole, 1)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", type=int, default=20)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--short", action="store_true", help="without the whole days")
    given = parser.parse_args()
    plan = Plan(edges=given.edges, seed=given.seed)
    speeds: dict[str, int] = {}
    for name, fields in (SHORT if given.short else SHORT | DAYS).items():
        speed, outcome = timed(replace(plan, **fields))
        speeds[name] = round(speed)
        faults = sum(outcome.faults.values())
        print(f"{name:42} {speed:6.0f}  {faults:4} faults", flush=True)
        if outcome.wrong:
            print("\n".join(outcome.wrong))
            return 1
    profile = shares(replace(plan, hours=2.0))
    for area, share in profile.items():
        print(f"{area:42} {share:6.1f} %")
    told = {"python": platform.python_version(), "edges": given.edges}
    OUT.parent.mkdir(exist_ok=True)
    text = json.dumps(told | {"speed": speeds, "profile": profile}, indent=1)
    OUT.write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
