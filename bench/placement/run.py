#!/usr/bin/env python3
"""Where requests go, policy by policy: deadlines kept, money, failures, right predictions.

    make bench-placement                                 # 16 seeds, about eight minutes of a core
    .venv/bin/python bench/placement/run.py --seeds 4 --count 2000

Simulated: an edge machine that runs in steps and slows down unseen, a cloud API behind a link that
fails three times, requests of three kinds. The predictors and the rule are those that serve. Prints
the table and writes bench/out/placement.json; exit status 1 where a target is missed.
"""

import argparse
import json
import math
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from littoral.cost.residual import Pair, score  # noqa: E402  as above
from sim.choosing import Play, Result  # noqa: E402  the folder above must be known first
from sim.policies import MISS_COST, POLICIES, STATIC  # noqa: E402  as above

OUT = ROOT / "bench" / "out" / "placement.json"
RATES = (0.4, 0.8, 1.2, 2.0)
MOST_COST = {0.4: 0.60, 0.8: 0.60, 1.2: 0.60, 2.0: 0.75}
WARM = 200
"""Outcomes of a run that are not scored."""


def mean(values: Sequence[float]) -> float:
    """Of at least one."""
    return math.fsum(values) / len(values)


def error(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    middle = mean(values)
    spread = math.fsum((value - middle) ** 2 for value in values)
    return math.sqrt(spread / max(1, len(values) - 1) / len(values))


def price(run: Result) -> float:
    """What a request costs with its misses, millionths."""
    return run.cost + MISS_COST * 1e6 * (1.0 - run.attainment)


def row(runs: Sequence[Result], base: Sequence[Result], oracle: Sequence[Result]) -> dict[str, Any]:
    """The figures of one policy at one rate."""
    pairs = [Pair(*pair) for run in runs for pair in run.pairs[WARM:]]
    accuracy = score(pairs)
    return {
        "slo_attainment": mean([run.attainment for run in runs]),
        "slo_attainment_se": error([run.attainment for run in runs]),
        "cost": mean([run.cost for run in runs]),
        "cost_of_cloud_only": mean([run.cost for run in runs]) / mean([run.cost for run in base]),
        "failed": mean([run.failed for run in runs]),
        "shed": mean([run.shed for run in runs]),
        "cloud": mean([run.cloud for run in runs]),
        "regret": mean([price(a) - price(b) for a, b in zip(runs, oracle, strict=True)]),
        "coverage_p90": accuracy.coverage,
        "bias": accuracy.bias,
        "mdape": accuracy.mdape,
    }


def verdict(
    table: dict[str, dict[str, Any]], runs: dict[str, Sequence[Result]], rate: float
) -> bool:
    """Whether ours keeps at least as many deadlines as the best rule, for little enough money."""
    best = max(STATIC, key=lambda name: table[name]["slo_attainment"])
    gain = [a.attainment - b.attainment for a, b in zip(runs["ours"], runs[best], strict=True)]
    share = table["ours"]["cost_of_cloud_only"]
    kept = mean(gain) > -error(gain) if rate == RATES[0] else mean(gain) > 2 * error(gain)
    met = kept and share <= MOST_COST[rate]
    print(
        f"  {'met' if met else 'MISSED'}: ours - {best} {100 * mean(gain):+.2f} "
        f"+- {100 * error(gain):.2f} points, {share:.0%} of cloud-only (<= {MOST_COST[rate]:.0%})"
    )
    return met


def main() -> int:
    """Play, print, write."""
    parser = argparse.ArgumentParser(description="Policies of placement, simulated.")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--count", type=int, default=4000, help="requests a run")
    args = parser.parse_args()
    out: dict[str, Any] = {"seeds": args.seeds, "requests": args.count, "rates": {}}
    met = True
    for rate in RATES:
        runs = {
            name: [
                Play(policy, rate=rate, seed=seed, count=args.count).run()
                for seed in range(args.seeds)
            ]
            for name, policy in POLICIES.items()
        }
        table = {name: row(each, runs["cloud_only"], runs["oracle"]) for name, each in runs.items()}
        out["rates"][str(rate)] = {"policies": table}
        print(f"{rate} requests a second")
        for name, each in table.items():
            print(
                f"  {name:14} kept {each['slo_attainment']:6.1%}  cost {each['cost']:6.1f} "
                f"({each['cost_of_cloud_only']:4.0%})  failed {each['failed']:5.1%}  "
                f"shed {each['shed']:5.1%}  regret {each['regret']:7.1f}  "
                f"p90 covers {each['coverage_p90']:5.1%}  bias {each['bias']:+5.1%}"
            )
        met &= verdict(table, runs, rate)
    middle = out["rates"]["0.8"]["policies"]
    out["policies"] = middle
    out["prediction"] = {
        "coverage_p90": middle["p90_bound"]["coverage_p90"],
        "bias": middle["p90_bound"]["bias"],
        "mdape": middle["p90_bound"]["mdape"],
    }
    write(out)
    return 0 if met else 1


def write(out: dict[str, Any]) -> None:
    """Write the figures; where both engines were measured as well, those stand at the top."""
    OUT.parent.mkdir(exist_ok=True)
    kept = json.loads(OUT.read_text()) if OUT.exists() else {}
    told = {"live": kept["live"]} if "live" in kept else {}
    live = "live" in kept
    for name in ("prediction", "policies"):
        told[name] = kept[name] if live else out[name]
    OUT.write_text(json.dumps({"simulated": out} | told, indent=1) + "\n")
    print(f"wrote {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
