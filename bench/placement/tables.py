"""Tables: what was played, as figures, as lines for people, and as Markdown to paste."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from playing import Played
from rules import MISS_COST, STATIC
from run import error, mean

MOST_COST = 0.60
HEAVY = 0.9
HEAVY_COST = 0.75
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Two-sided 95 % by how many seeds there are."""


def half(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean, over seeds; nan of a single one."""
    if len(values) < 2:
        return math.nan
    return STUDENT.get(len(values), 2.0) * error(values)


def price(run: Played) -> float:
    """What a request costs with its misses, USD per million."""
    return run.cost + MISS_COST * 1e6 * (1.0 - run.attainment)


def table_of(runs: Mapping[str, Sequence[Played]]) -> dict[str, dict[str, Any]]:
    """The figures of every policy at one load; regret is against the oracle, if it was played."""
    cloud = mean([run.cost for run in runs["cloud_only"]]) or 1.0
    best = [price(run) for run in runs.get("oracle", ())]

    def over(figure: Callable[[Played], float], each: Sequence[Played]) -> dict[str, float]:
        values = [figure(run) for run in each]
        return {"mean": mean(values), "half95": half(values)}

    table: dict[str, dict[str, Any]] = {}
    for name, each in runs.items():
        kept = over(lambda run: run.attainment, each)
        good = over(lambda run: run.goodput, each)
        table[name] = {
            "slo_attainment": kept["mean"], "slo_attainment_half95": kept["half95"],
            "goodput": good["mean"], "goodput_half95": good["half95"],
            "cost": mean([run.cost for run in each]),
            "cost_of_cloud_only": mean([run.cost for run in each]) / cloud,
            "failed": mean([run.failed for run in each]), "shed": mean([run.shed for run in each]),
            "cloud": mean([run.cloud for run in each]),
            "requests": sum(run.requests for run in each), "seeds": len(each),
        }  # fmt: skip
        if best:
            lost = [price(run) - least for run, least in zip(each, best, strict=True)]
            table[name] |= {"regret": mean(lost), "regret_half95": half(lost)}
    return table


def verdict(
    runs: Mapping[str, Sequence[Played]], table: Mapping[str, dict[str, Any]], load: float
) -> dict[str, Any]:
    """Whether ours keeps at least as many deadlines as each rule, for little enough money.

    ``behind`` means by more than one standard error of the paired difference.
    """
    gains = {
        name: [
            a.attainment - b.attainment for a, b in zip(runs["p90_bound"], runs[name], strict=True)
        ]
        for name in STATIC
        if name in runs
    }
    best = max(gains, key=lambda name: table[name]["slo_attainment"])
    gain, share = gains[best], table["p90_bound"]["cost_of_cloud_only"]
    most = HEAVY_COST if load >= HEAVY else MOST_COST
    spread = error(gain)
    kept = "ahead" if mean(gain) > 2 * spread else "level" if mean(gain) >= -spread else "behind"
    return {
        "best_static": best, "gain": mean(gain), "gain_half95": half(gain), "gain_se": spread,
        "deadlines": kept, "cost_of_cloud_only": share, "most": most,
        "met": kept != "behind" and share <= most,
    }  # fmt: skip


def show(table: Mapping[str, dict[str, Any]], found: Mapping[str, Any]) -> None:
    """Print one load."""
    for name, row in table.items():
        regret = f"  regret {row['regret']:6.1f}" if "regret" in row else ""
        print(
            f"  {name:15} kept {row['slo_attainment']:6.1%} +- {row['slo_attainment_half95']:5.1%}"
            f"  goodput {row['goodput']:4.2f}/s +- {row['goodput_half95']:4.2f}"
            f"  cost {row['cost_of_cloud_only']:4.0%}  failed {row['failed']:5.1%}  "
            f"shed {row['shed']:5.1%}  cloud {row['cloud']:4.0%}{regret}",
        )
    print(
        f"  {'met' if found['met'] else 'MISSED'}: p90_bound is {found['deadlines']}: "
        f"{100 * found['gain']:+.1f} +- {100 * found['gain_se']:.1f} points of "
        f"{found['best_static']}, {found['cost_of_cloud_only']:.0%} of cloud-only "
        f"(<= {found['most']:.0%})",
        flush=True,
    )


def markdown(live: Mapping[str, Any]) -> str:
    """The tables of a live run, for docs/placement.md."""
    parts = [_conditions(live["conditions"])]
    if "prediction" in live:
        parts.append(predictions(live["prediction"]))
    if "capacity" in live:
        parts.append(_capacity(live["capacity"]))
    if live.get("loads"):
        parts.append(_policies(live["loads"]))
    return "\n\n".join(parts) + "\n"


def _conditions(found: Mapping[str, Any]) -> str:
    return (
        f"{found['machine']}, load average before the run {found['load_average']:.1f}, commit "
        f"{found['commit']}; {found['edge']} on one core beside a process that wants it for two "
        f"fifths of the time, {found['cloud']} on the other behind 60 ms. Deadlines: "
        + ", ".join(f"{tag} {value:g} s" for tag, value in found["deadlines_s"].items())
        + "."
    )


def predictions(found: Mapping[str, Any]) -> str:
    """Everybody's predictions, as a Markdown table."""
    first, busy = found["first"], found["during_contention"]
    lines = [
        "| predictor | seen | p90 covers (95 %) | bias | MdAPE | WAPE | pinball, s |",
        "|---|---|---|---|---|---|---|",
    ]
    known = {
        "seen": found["seen"], "coverage_p90": found["coverage_known_length"],
        "bias": found["bias_known_length"], "mdape": found["mdape_known_length"],
        "pinball": found["pinball_known_length"],
    }  # fmt: skip
    rows = {
        "**ours**": found, "ours, length known": known, "ours, first token": first,
        "ours, while contended": busy,
    } | {name.replace("_", " "): row for name, row in found["rivals"].items()}  # fmt: skip
    for name, row in rows.items():
        interval = ""
        if "coverage_low" in row:
            interval = f" ({row['coverage_low']:.1%} to {row['coverage_high']:.1%})"
        wape = f"{row['wape']:.0%}" if "wape" in row else ""
        lines.append(
            f"| {name} | {row['seen']} | {row['coverage_p90']:.1%}{interval} | {row['bias']:+.1%} "
            f"| {row['mdape']:.1%} | {wape} | {row['pinball']:.3f} |"
        )
    return "\n".join(lines)


def _capacity(found: Mapping[str, Any]) -> str:
    lines = [
        (
            f"Predicted capacity: {found['rate']:.2f} requests a second, of which "
            f"{found['target']:.0%} end within {found['objective_s']:.2f} s."
        ),
        "",
        "| share of it | requests | predicted mean, s | interval | measured mean, s | inside |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['share']:.0%} | {row['requests']} | {row['predicted_s']:.2f} | "
        f"{row['low_s']:.2f} to {row['high_s']:.2f} | {row['measured_s']:.2f} | "
        f"{'yes' if row['inside'] else 'no'} |"
        for row in found["shares"]
    ]
    return "\n".join(lines)


def _policies(loads: Mapping[str, Any]) -> str:
    lines = [
        "| policy | " + " | ".join(f"load {load}: kept, cost" for load in loads) + " |",
        "|---|" + "---|" * len(loads),
    ]
    names = dict.fromkeys(name for each in loads.values() for name in each["policies"])
    for name in names:
        cells = []
        for each in loads.values():
            row = each["policies"].get(name)
            cells.append(
                f"{row['slo_attainment']:.1%} +- {row['slo_attainment_half95']:.1%}, "
                f"{row['cost_of_cloud_only']:.0%}"
                if row
                else "not played"
            )
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    cells = [
        f"{found['deadlines']}: {100 * found['gain']:+.1f} +- {100 * found['gain_se']:.1f} of "
        f"{found['best_static'].replace('_', ' ')}"
        for found in (each["verdict"] for each in loads.values())
    ]
    lines.append("| p90 bound by the best rule | " + " | ".join(cells) + " |")
    return "\n".join(lines)
