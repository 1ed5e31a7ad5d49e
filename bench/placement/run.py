#!/usr/bin/env python3
"""Where requests go, policy by policy: deadlines kept, money, failures, right predictions.

    make bench-placement                    # 16 seeds, about eight minutes of a core
    make bench-placement TRACES=folder      # with the two Azure traces that lie there
    .venv/bin/python bench/placement/run.py --seeds 4 --count 2000

Three parts. What two real engines did beside other load (recorded once by live.py, in
tests/sim/data) is replayed: each request is promised and learned again, rivals beside it. Then
recorded arrivals of others, through an engine of steps. Then the policies, simulated: an edge
machine that runs in steps and slows down unseen, a cloud API behind a link that fails three times,
requests of three kinds. Predictors and rule are those that serve. Prints tables and writes
bench/out/placement.json. What bench/placement/live.py measured last stands there under ``live``,
and its predictions at the top, instead of those of the recording. Exit status 1 where a target is
missed.
"""

import argparse
import json
import math
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from littoral.cost.residual import Pair, score  # noqa: E402  the folder above must be known first
from sim.choosing import Play, Result  # noqa: E402  as above
from sim.knowing import RECORDED, Scored, judged, read, replay  # noqa: E402  as above
from sim.policies import MISS_COST, POLICIES, STATIC  # noqa: E402  as above
from sim.traces import arrivals, played  # noqa: E402  as above

OUT = ROOT / "bench" / "out" / "placement.json"
RATES = (0.4, 0.8, 1.2, 2.0)
MOST_COST = {0.4: 0.60, 0.8: 0.60, 1.2: 0.60, 2.0: 0.75}
WARM = 200
"""Outcomes of a run that are not scored."""
TRACES = ("AzureLLMInferenceTrace_conv.csv", "AzureLLMInferenceTrace_code.csv")
TRACES_FROM = "github.com/Azure/AzurePublicDataset, folder data"


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
    gain = [a.attainment - b.attainment for a, b in zip(runs["p90_bound"], runs[best], strict=True)]
    share = table["p90_bound"]["cost_of_cloud_only"]
    kept = mean(gain) > -error(gain) if rate == RATES[0] else mean(gain) > 2 * error(gain)
    met = kept and share <= MOST_COST[rate]
    print(
        f"  {'met' if met else 'MISSED'}: p90_bound - {best} {100 * mean(gain):+.2f} "
        f"+- {100 * error(gain):.2f} points, {share:.0%} of cloud-only (<= {MOST_COST[rate]:.0%})"
    )
    return met


def told(name: str, scored: Sequence[Scored]) -> dict[str, Any]:
    """Judge promises, and print how right they were."""
    found = judged(scored)
    print(
        f"{name}: {found['seen']} promises, p90 covers {found['coverage_p90']:.1%} (first token "
        f"{found['first']['coverage_p90']:.1%}), bias {found['bias']:+.1%} "
        f"({found['first']['bias']:+.1%}), median error {found['mdape']:.1%}, "
        f"with known length {found['mdape_known_length']:.1%}"
    )
    for rival, row in found["rivals"].items():
        print(
            f"  {rival:28} covers {row['coverage_p90']:5.1%}  bias {row['bias']:+6.1%}  "
            f"median error {row['mdape']:5.1%}  pinball {row['pinball']:.3f} "
            f"(ours {found['pinball']:.3f})"
        )
    return found


def traced(folder: pathlib.Path | None) -> dict[str, Any]:
    """Replay the traces that are there; say why not, where they are not."""
    found: dict[str, Any] = {}
    for name in TRACES:
        path = folder / name if folder else None
        if path is None or not path.is_file():
            found[name] = {"skipped": f"not in {folder or 'any folder that was named'}"}
            print(f"{name}: skipped, {found[name]['skipped']}; it is at {TRACES_FROM}")
        else:
            found[name] = told(name, played(arrivals(path)))
    return found


def right(found: dict[str, Any]) -> bool:
    """Whether promises are as right as they are to be; what was not replayed is not wrong."""
    if "skipped" in found:
        return True
    return abs(found["coverage_p90"] - 0.9) <= 0.05 and abs(found["bias"]) <= 0.10


def simulated(seeds: int, count: int) -> tuple[dict[str, Any], bool]:
    """Play all policies at all rates; whether ours met its targets."""
    out: dict[str, Any] = {"seeds": seeds, "requests": count, "rates": {}}
    met = True
    for rate in RATES:
        runs = {
            name: [Play(policy, rate=rate, seed=seed, count=count).run() for seed in range(seeds)]
            for name, policy in POLICIES.items()
        }
        table = {name: row(each, runs["cloud_only"], runs["oracle"]) for name, each in runs.items()}
        out["rates"][str(rate)] = {"policies": table}
        print(f"{rate} requests a second")
        for name, each in table.items():
            print(
                f"  {name:15} kept {each['slo_attainment']:6.1%}  cost {each['cost']:6.1f} "
                f"({each['cost_of_cloud_only']:4.0%})  failed {each['failed']:5.1%}  "
                f"shed {each['shed']:5.1%}  regret {each['regret']:7.1f}  "
                f"p90 covers {each['coverage_p90']:5.1%}  bias {each['bias']:+5.1%}"
            )
        met &= verdict(table, runs, rate)
    return out, met


def main() -> int:
    """Replay, play, print, write."""
    parser = argparse.ArgumentParser(description="Policies of placement, simulated.")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--count", type=int, default=4000, help="requests a run")
    parser.add_argument(
        "--traces", default=os.environ.get("TRACES", ""), help="folder of the Azure traces"
    )
    args = parser.parse_args()
    slots = {"edge": 4, "cloud": 8}
    recorded = told("recorded on two engines", replay(read(RECORDED), slots))
    traces = traced(pathlib.Path(args.traces) if args.traces else None)
    found, met = simulated(args.seeds, args.count)
    write({
        "prediction": recorded, "policies": found["rates"]["0.8"]["policies"],
        "traces": traces, "simulated": found,
    })  # fmt: skip
    return 0 if met and all(map(right, (recorded, *traces.values()))) else 1


def write(out: dict[str, Any]) -> None:
    """Write the figures, those of the last live run beside them."""
    OUT.parent.mkdir(exist_ok=True)
    path = OUT.with_name("placement-live.json")
    if path.exists():
        live = json.loads(path.read_text())
        out |= {"live": live, "prediction": live["prediction"], "recorded": out["prediction"]}
    OUT.write_text(json.dumps(out, indent=1) + "\n")
    print(f"wrote {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
