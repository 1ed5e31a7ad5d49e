"""A result as lines of a terminal, and rows as lines of a file."""

import json
from collections.abc import Iterable, Iterator, Sequence

from littoral.app.bench.compare import Comparison
from littoral.app.bench.message import OK, Row
from littoral.app.bench.result import RANKS, Doubt, Result
from littoral.app.bench.sheet import margin_of, value_of
from littoral.app.bench.view import Say, duration, pace
from littoral.planner import metrics
from littoral.planner.metrics import Estimate

LATENCIES = ("ttft", "itl", "tpot", "e2e", "delay")
COLUMNS = ("p50", "p90", "p95", "p99", "p99.9")
GAP = 14


def lines(found: Result, say: Say) -> Iterator[str]:
    """The whole result."""
    plan = found.plan
    yield f"{plan.model} · {plan.url} · {plan.endpoint} · {pace(plan, say)}"
    yield ""
    yield from _doubts(found, say)
    yield _cells("", ["mean", *COLUMNS, say("bench.samples")])
    for name in LATENCIES:
        figure = found.figures[name]
        if figure.count:
            values = [figure.mean, *(figure.percentiles[column] for column in COLUMNS)]
            label = say(f"bench.name.{name}")
            yield _cells(label, [*(value_of(each) for each in values), f"{figure.count:,}"])
            yield _cells("", [margin_of(each) for each in values])
    yield ""
    yield from _sums(found, say)


def _sums(found: Result, say: Say) -> Iterator[str]:
    counts, rates, tokens = found.counts, found.rates, found.tokens
    yield say(
        "bench.counts",
        sent=counts.sent,
        answered=counts.answered,
        failed=counts.failed,
        unfinished=counts.unfinished,
    )
    yield say(
        "bench.rates",
        arrivals=f"{rates.arrivals:.2f}",
        answers=f"{rates.answers:.2f}",
        tokens=f"{rates.tokens_out:,.0f}",
    )
    yield say(
        "bench.tokens",
        tokens_in=f"{tokens.tokens_in:,}",
        asked=f"{tokens.asked_in:,}",
        tokens_out=f"{tokens.tokens_out:,}",
        cached=f"{tokens.cached:,}",
    )
    for fault in found.faults:
        yield say("bench.fault", kind=fault.kind, count=fault.count, example=_safe(fault.example))
    if found.goodput is not None:
        yield say(
            "bench.goodput",
            rate=f"{found.goodput.rate.value:.2f}",
            share=f"{found.goodput.share.value:.1%}",
            low=f"{found.goodput.share.low:.1%}",
            high=f"{found.goodput.share.high:.1%}",
            slo=objectives(found.plan.slo),
        )
    yield say(
        "bench.window",
        warmup=f"{found.steady.warmup:.1f}",
        end=f"{found.steady.end:.1f}",
        count=counts.window,
    )


def objectives(slo: dict[str, float]) -> str:
    """Objectives in words: ``TTFT ≤ 500 ms``."""
    return ", ".join(f"{name.upper()} ≤ {duration(most)}" for name, most in slo.items())


def _doubts(found: Result, say: Say) -> Iterator[str]:
    if not found.health.valid:
        yield say("bench.invalid")
    for doubt in found.health.doubts:
        yield f"! {doubted(found, doubt, say)}"
    if found.health.doubts:
        yield ""


def doubted(found: Result, doubt: Doubt, say: Say) -> str:
    """One doubt in words."""
    health = found.health
    return say(
        f"bench.doubt.{doubt}",
        delay=duration(health.delay),
        allowed=duration(health.allowed),
        lag=duration(health.lag),
        cpu=f"{health.cpu:.0%}",
        slope=f"{found.steady.slope * 1000:.2f}",
        needed=metrics.needed(RANKS["p99"]),
        count=found.counts.window_answered,
        failed=found.counts.failed,
        unfinished=found.counts.unfinished,
    )


def _cells(label: str, cells: Sequence[str]) -> str:
    return (_padded(label, 22) + "".join(f"{cell:>{GAP}}" for cell in cells)).rstrip()


def _padded(text: str, columns: int) -> str:
    wide = sum(ord(letter) > 0x2E80 for letter in text)
    return text + " " * max(1, columns - len(text) - wide)


def beside(found: Comparison, say: Say) -> Iterator[str]:
    """Two results, figure by figure."""
    for name, (one, other) in found.differ.items():
        yield say("bench.differ", name=name, first=one or "-", second=other or "-")
    if found.differ:
        yield ""
    if not all(found.valid):
        yield say("bench.compare.invalid")
        yield ""
    yield _cells("", ["1", "2", "2 / 1", ""])
    for row in found.rows:
        share = row.name == "attainment"
        cells = [_either(row.first, share=share), _either(row.second, share=share)]
        ratio = "-" if row.ratio is None else f"{row.ratio:.3f}"
        yield _cells(row.name, [*cells, ratio, say(f"bench.judgement.{row.judgement}")])


def _either(found: Estimate | None, *, share: bool) -> str:
    if found is None or not share:
        return value_of(found)
    return f"{found.value:.1%}"


def _safe(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def row_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """Each request as a line of JSON; a trace that can be replayed."""
    for row in sorted(rows, key=lambda each: each.at):
        told = {
            "at": round(row.at, 6),
            "tokens_in": row.tokens_in if row.counted and row.tokens_in else row.asked_in,
            "tokens_out": row.tokens_out if row.kind == OK and row.tokens_out else row.asked_out,
            "outcome": row.kind,
            "sent": _rounded(row.sent),
            "first": _rounded(row.first),
            "last": _rounded(row.last),
        }
        yield json.dumps(told).encode() + b"\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
