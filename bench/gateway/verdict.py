"""Verdict: medians, ratios between peers of the same round, and whether the targets are met."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

FIELDS = ("us_request", "us_event", "us_record", "rps", "p50", "p99", "ev99", "pss_mb")
Rounds: TypeAlias = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]
"""Every figure of every round, by workload and peer."""


class Target(NamedTuple):
    """A bound: our figure over a peer's in the same round, or (``is_added``) minus it."""

    title: str
    workload: str
    field: str
    peer: str
    most: float
    is_added: bool = False


TARGETS = (
    Target("CPU per request, times nginx's", "ns32", "us_request", "nginx", 2.5),
    Target("CPU per request, times vllm-router's", "ns32", "us_request", "vllm-router", 0.5),
    Target("CPU per request, times LiteLLM's", "ns32", "us_request", "litellm", 1 / 300),
    Target("CPU per event back to back, times nginx's", "st16", "us_event", "nginx", 1.3),
    Target("CPU per paced event, times nginx's", "paced", "us_event", "nginx", 1.3),
    Target("CPU per event of 500 streams, times nginx's", "c500", "us_event", "nginx", 1.3),
    Target("p50 at one connection over nginx's, us", "ns1", "p50", "nginx", 150.0, is_added=True),
    Target("PSS a process, MB", "c500", "pss_mb", "", 40.0),
)


class Outcome(NamedTuple):
    """A target's median over the rounds, its range, and whether it is met."""

    target: Target
    median: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the median is within the bound."""
        return self.median <= self.target.most


def outcomes(found: Rounds) -> Iterator[Outcome]:
    """Hold every target that was measured."""
    for target in TARGETS:
        peers = found.get(target.workload, {})
        ours = [figures.get(target.field, 0.0) for figures in peers.get("littoral", ())]
        if target.peer:
            theirs = [figures.get(target.field, 0.0) for figures in peers.get(target.peer, ())]
        else:
            theirs = [1.0] * len(ours)
        pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one and other]
        values = [one - other if target.is_added else one / other for one, other in pairs]
        if values:
            yield Outcome(target, statistics.median(values), min(values), max(values))


def medians(found: Rounds) -> dict[str, dict[str, dict[str, float]]]:
    """Each peer's medians, by workload."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for name, peers in found.items():
        row = out[name] = {}
        for peer, runs in peers.items():
            values = {f: [r[f] for r in runs if r.get(f)] for f in FIELDS}
            row[peer] = {f: round(statistics.median(v), 3) for f, v in values.items() if v}
            row[peer] |= {"faults": sum(int(r["faults"]) for r in runs), "rounds": len(runs)}
    return out


def show(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Print the medians."""
    print(f"{'workload':9}{'peer':12}" + "".join(f"{c:>12}" for c in FIELDS) + f"{'faults':>8}")
    for name, row in table.items():
        for peer, figures in row.items():
            cells = (figures.get(c) for c in FIELDS)
            text = "".join(f"{'' if v is None else round(v, 2):>12}" for v in cells)
            print(f"{name:9}{peer:12}{text}{int(figures['faults']):>8}")
    print("us_* are CPU microseconds; us_record is the node's, for the durable record; times in us")
