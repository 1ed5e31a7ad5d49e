"""Two results beside each other: what changed by more than chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from littoral.app.bench.result import Result
from littoral.planner.metrics import Estimate

Judgement: TypeAlias = Literal["better", "worse", "same", "unknown"]
LATENCIES = ("ttft", "itl", "tpot", "e2e")
SHOWN = ("mean", "p50", "p90", "p99")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of both.

    Args:
        name: Metric and statistic: ``ttft p99``.
        first: Of the first result; None where it has none.
        second: Of the second.
        ratio: Second to first; None where one is missing or the first is zero.
        judgement: ``same`` where the intervals overlap.
    """

    name: str
    first: Estimate | None
    second: Estimate | None
    ratio: float | None
    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All figures of both, and the parts of their plans that differ."""

    rows: list[Row]
    differ: dict[str, tuple[str, str]]
    valid: tuple[bool, bool]


def compared(first: Result, second: Result) -> Comparison:
    """Compare two results."""
    return Comparison(
        rows=[*_latencies(first, second), *_goodput(first, second)],
        differ=_differences(first, second),
        valid=(first.health.valid, second.health.valid),
    )


def _latencies(first: Result, second: Result) -> Iterator[Row]:
    for metric in LATENCIES:
        one, other = first.figures.get(metric), second.figures.get(metric)
        if not (one and one.count) and not (other and other.count):
            continue
        for name in SHOWN:
            values = [
                None if each is None else each.mean if name == "mean" else each.percentiles[name]
                for each in (one, other)
            ]
            yield _row(f"{metric} {name}", values[0], values[1])


def _goodput(first: Result, second: Result) -> Iterator[Row]:
    if first.goodput or second.goodput:
        pair = [None if each is None else each.share for each in (first.goodput, second.goodput)]
        yield _row("attainment", pair[0], pair[1], more_is_better=True)


def _row(
    name: str, first: Estimate | None, second: Estimate | None, *, more_is_better: bool = False
) -> Row:
    if first is None or second is None:
        return Row(name=name, first=first, second=second, ratio=None, judgement="unknown")
    judgement: Judgement = "same"
    if second.low > first.high:
        judgement = "better" if more_is_better else "worse"
    elif second.high < first.low:
        judgement = "worse" if more_is_better else "better"
    ratio = second.value / first.value if first.value else None
    return Row(name=name, first=first, second=second, ratio=ratio, judgement=judgement)


def _differences(first: Result, second: Result) -> dict[str, tuple[str, str]]:
    """Fields of the plans that are not the same: two runs are compared in one of them."""
    names = ("url", "endpoint", "model", "stream", "arrivals", "rate", "cv", "clients", "trace")
    more = ("speed", "duration", "seed", "workers", "tokens_in", "tokens_out", "share", "groups")
    pairs = {
        name: (_text(first, name), _text(second, name)) for name in (*names, *more, "slo", "extra")
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _text(result: Result, name: str) -> str:
    value = cast("object", getattr(result.plan, name))
    return f"{value:g}" if isinstance(value, float) else str(value)
