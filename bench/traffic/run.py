#!/usr/bin/env python3
"""What the traffic policies do under load: the simulations of tests/sim, as plots and figures.

    make bench-traffic
    .venv/bin/python bench/traffic/run.py --only overload,slowness

Virtual time and fixed seeds: the same figures on every machine. Plots go to docs/_static, figures
to bench/out/traffic.json.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from plot import Line, chart  # noqa: E402  the folders above must be known first

from sim.conversations import conversations  # noqa: E402  as above
from sim.dimming import SPAN_S as DIM_SPAN_S  # noqa: E402  as above
from sim.dimming import dimming  # noqa: E402  as above
from sim.failures import SPAN_S, failures  # noqa: E402  as above
from sim.fairness import flood, priorities  # noqa: E402  as above
from sim.overload import overload  # noqa: E402  as above
from sim.repetition import repetition  # noqa: E402  as above
from sim.slowness import slowness  # noqa: E402  as above

STATIC = ROOT / "docs" / "_static"
OUT = ROOT / "bench" / "out" / "traffic.json"
LOADS = (0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


def lines(
    names: tuple[str, str], at: tuple[float, ...], run: Callable[[float, bool], float]
) -> list[Line]:
    """Two lines: without the policy, and with it."""
    return [
        Line(name, [(x, run(x, is_on)) for x in at])
        for name, is_on in zip(names, (False, True), strict=True)
    ]


def fairness() -> tuple[str, list[Line]]:
    """The modest project's wait beside a flood."""
    both = lines(
        ("first come, first served", "fair queueing"),
        LOADS,
        lambda load, is_on: max(flood(load, is_fair=is_on).p95, 0.01),
    )
    title = "One project floods: the other's wait (p95)"
    x = "load of the noisy project, times what can be served"
    return chart(title, x=x, y="seconds", lines=both, log=True), both


def classes() -> tuple[str, list[Line]]:
    """Waits by priority while batch work floods."""
    names = ("interactive", "default", "batch")
    loads = (0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)
    found = {load: priorities(load) for load in loads}
    all_ = [
        Line(name, [(load, max(found[load][level][0], 0.01)) for load in loads])
        for level, name in enumerate(names)
    ]
    title = "Batch work floods: waits by priority (p95)"
    x = "load, times what can be served"
    return chart(title, x=x, y="seconds", lines=all_, log=True), all_


def shedding() -> tuple[str, list[Line]]:
    """Goodput up to ten times the capacity."""
    both = lines(
        ("everyone waits", "shedding"),
        LOADS,
        lambda load, is_on: overload(load, sheds=is_on).goodput,
    )
    title = "Overload: engine time spent on answers that come in time"
    x = "load, times what can be served"
    return chart(title, x=x, y="goodput, share of capacity", lines=both, top=1.2), both


def hedging() -> tuple[str, list[Line]]:
    """The tail by load."""
    loads = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    both = lines(
        ("one try (p99)", "second try at the 95th percentile (p99)"),
        loads,
        lambda load, is_on: slowness(load, hedges=is_on).p99,
    )
    extra = [(load, slowness(load, hedges=True).extra * 100) for load in loads]
    both.append(Line("extra tries, % of requests", extra))
    title = "3 % of tries pause for 10 s: the slowest answers"
    return chart(title, x="load, share of what can be served", y="seconds", lines=both), both


def breaking() -> tuple[str, list[Line]]:
    """First tries that fail while one of four endpoints is down."""
    both = [
        Line(name, [(at * SPAN_S, share * 100) for at, share in enumerate(run.first)])
        for name, run in (
            ("no breaker", failures(breaks=False)),
            ("breaker", failures(breaks=True)),
        )
    ]
    title = "One of four endpoints is down from 60 s to 180 s"
    return chart(title, x="seconds", y="first tries that fail, %", lines=both, top=40.0), both


def caching() -> tuple[str, list[Line]]:
    """Hits by room, for two lifetimes."""
    rooms = (1, 2, 4, 8, 16, 32)
    both = [
        Line(
            f"answers live {ttl_s / 60:g} min",
            [(mb, repetition(most_bytes=mb << 20, ttl_s=ttl_s).hits * 100) for mb in rooms],
        )
        for ttl_s in (60.0, 600.0)
    ]
    title = "20,000 prompts of Zipf popularity: requests answered from the cache"
    return chart(title, x="room, MiB", y="hits, %", lines=both, top=100.0), both


def affinity() -> tuple[str, list[Line]]:
    """First tokens of conversations."""
    rates = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    both = lines(
        ("fastest place", "with affinity"),
        rates,
        lambda rate, is_on: conversations(rate, keeps=is_on).first_p50,
    )
    title = "Conversations of eight turns: time to the first token (p50)"
    return chart(title, x="conversations begun a second", y="seconds", lines=both), both


def brownout() -> tuple[str, list[Line]]:
    """Answers in time while the load doubles."""
    plain, dims = dimming(dims=False), dimming(dims=True)
    answered = [full + dim for full, dim in zip(dims.full, dims.dimmed, strict=True)]
    all_ = [
        Line(name, [(at * DIM_SPAN_S, share * 100) for at, share in enumerate(values[:-1])])
        for name, values in (
            ("refusing only", plain.full),
            ("brown-out: answered", answered),
            ("of these in full", dims.full),
        )
    ]
    title = "Twice the load from 60 s to 300 s: requests answered in time"
    return chart(title, x="seconds", y="%", lines=all_, top=100.0), all_


PLOTS: dict[str, Callable[[], tuple[str, list[Line]]]] = {
    "fairness": fairness,
    "priorities": classes,
    "shedding": shedding,
    "hedging": hedging,
    "breaker": breaking,
    "cache": caching,
    "affinity": affinity,
    "brownout": brownout,
}


def main() -> None:
    """Run the simulations; write plots and figures."""
    p = argparse.ArgumentParser()
    p.add_argument("--only", default=",".join(PLOTS), help="names, joined by commas")
    args = p.parse_args()
    figures = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name in args.only.split(","):
        svg, found = PLOTS[name]()
        (STATIC / f"traffic-{name}.svg").write_text(svg, encoding="utf-8")
        figures[name] = {line.name: [[x, round(y, 4)] for x, y in line.points] for line in found}
        print(name)
        for line in found:
            shown = line.points[:: max(len(line.points) // 9, 1)]
            print(f"  {line.name:40}", "  ".join(f"{x:g}: {y:.3g}" for x, y in shown))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
