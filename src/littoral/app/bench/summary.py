"""From rows to a result: the window, the figures, the doubts."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from littoral.app.bench.message import OK, UNFINISHED, Row
from littoral.app.bench.objective import met
from littoral.app.bench.result import (
    RANKS,
    Counts,
    Doubt,
    Fault,
    Figure,
    Goodput,
    Health,
    Plan,
    Rates,
    Steady,
    TokenSums,
)
from littoral.planner import metrics
from littoral.planner.metrics import Estimate

WARMUP = 0.2
MOST_WARMUP = 0.5
LATE_S = 0.005
LATE_SHARE = 0.02
BUSY = 0.7
GROWTH = 0.2
"""A latency that grows by this part of itself within the window is no steady state,"""
OVERLOAD = 0.005
"""if it gains so much a second: a queue at 0.5 % more than capacity does."""
GRID = (
    *(place / 100 for place in range(1, 100)),
    *(1 - 10 ** (-2 - place / 20) for place in range(1, 41)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the workers said of themselves."""

    lags: Sequence[float]
    cpu: float
    partial: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The parts of a result that are computed from rows."""

    counts: Counts
    faults: list[Fault]
    figures: dict[str, Figure]
    rates: Rates
    tokens: TokenSums
    goodput: Goodput | None
    health: Health
    steady: Steady


def ttft(row: Row) -> float | None:
    """Time to first token, from the schedule."""
    return None if row.first is None else row.first - row.at


def e2e(row: Row) -> float | None:
    """Time to the last byte, from the schedule."""
    return None if row.last is None else row.last - row.at


def tpot(row: Row) -> float | None:
    """Time per token after the first."""
    if row.first is None or row.last is None or row.tokens_out < 2:
        return None
    return (row.last - row.first) / (row.tokens_out - 1)


def longest_gap(row: Row) -> float | None:
    """The longest time between two pieces of the answer."""
    return max(gaps(row), default=None)


def gaps(row: Row) -> "array[float]":
    """Times between pieces of the answer."""
    found = array("f")
    found.frombytes(row.gaps)
    return found


def main_latency(plan: Plan) -> str:
    """The metric by which a run's state is judged: the first token, if there is one."""
    return "ttft" if plan.stream else "e2e"


def latency(plan: Plan, row: Row) -> float | None:
    """That metric of one request."""
    return ttft(row) if plan.stream else e2e(row)


def window(plan: Plan, rows: Sequence[Row], *, warmup: float | None, end: float) -> float:
    """Where the measured window begins: seconds after the start.

    A given warm-up stands. Else it is a fifth of the run, and not before the slowest answer to an
    arrival of that time has passed, and not before MSER-5 sees a steady state; at most half.

    Args:
        plan: Of the run.
        rows: By schedule.
        warmup: As asked for; None leaves it to us.
        end: Of the window.
    """
    if warmup is not None:
        return min(warmup, end)
    first = WARMUP * end
    slowest = max((row.last or 0.0 for row in rows if row.at < first), default=0.0)
    served = [row for row in rows if row.kind == OK and latency(plan, row) is not None]
    place = metrics.settled([latency(plan, row) or 0.0 for row in served])
    calm = served[place].at if served else 0.0
    return min(max(first, slowest, calm), MOST_WARMUP * end)


def figure(values: Iterable[float], *, most_rank: float = 1.0) -> Figure:
    """One metric from its samples.

    Args:
        values: In the order of the schedule.
        most_rank: Percentiles above it are withheld.
    """
    given = list(values)
    ordered = sorted(given)
    curve = [
        (rank, metrics.quantile(ordered, rank))
        for rank in GRID
        if ordered and (1 - rank) * len(ordered) >= 0.5
    ]
    return Figure(
        count=len(given),
        mean=metrics.mean(given),
        percentiles={
            name: metrics.percentile(ordered, rank) if rank <= most_rank and ordered else None
            for name, rank in RANKS.items()
        },
        curve=curve,
    )


def figures(rows: Sequence[Row], *, grows: bool) -> dict[str, Figure]:
    """All metrics of the answered requests of the window.

    Args:
        rows: Answered ones, by schedule.
        grows: A growing queue has no percentiles above the median.
    """
    most = 0.5 if grows else 1.0
    samples: dict[str, Iterable[float | None]] = {
        "ttft": (ttft(row) for row in rows),
        "itl": (gap for row in rows for gap in gaps(row)),
        "tpot": (tpot(row) for row in rows),
        "e2e": (e2e(row) for row in rows),
        "delay": (None if row.sent is None else row.sent - row.at for row in rows),
        "ttft_sent": (_after_send(row.first, row.sent) for row in rows),
        "e2e_sent": (_after_send(row.last, row.sent) for row in rows),
    }
    return {
        name: figure((value for value in values if value is not None), most_rank=most)
        for name, values in samples.items()
    }


def _after_send(moment: float | None, sent: float | None) -> float | None:
    return None if moment is None or sent is None else moment - sent


def steady(plan: Plan, rows: Sequence[Row], *, begin: float, end: float) -> Steady:
    """Whether latency keeps growing in the window; in a closed loop it cannot for long.

    Args:
        plan: Of the run.
        rows: Answered ones of the window, by schedule.
        begin: Of the window.
        end: Of the window.
    """
    points = [(row.at, value) for row in rows if (value := latency(plan, row)) is not None]
    found = metrics.trend([at for at, _ in points], [value for _, value in points])
    if found is None:
        return Steady(warmup=begin, end=end, slope=0.0, grows=False)
    middle = metrics.quantile(sorted(value for _, value in points), 0.5)
    much = found.slope > OVERLOAD and found.slope * (end - begin) > GROWTH * middle
    grows = found.sure and much and not plan.clients
    return Steady(warmup=begin, end=end, slope=found.slope, grows=grows)


def counts(rows: Sequence[Row], inside: Sequence[Row]) -> Counts:
    """How many requests became what."""
    kinds = Counter(row.kind for row in rows)
    return Counts(
        sent=sum(row.sent is not None for row in rows),
        answered=kinds[OK],
        failed=sum(kinds.values()) - kinds[OK] - kinds[UNFINISHED],
        unfinished=kinds[UNFINISHED],
        window=len(inside),
        window_answered=sum(row.kind == OK for row in inside),
    )


def faults(rows: Iterable[Row]) -> list[Fault]:
    """Failures by kind, the most frequent first."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if row.kind not in {OK, UNFINISHED}:
            kinds.setdefault(row.kind, []).append(row.detail)
    found = [Fault(kind=kind, count=len(all_), example=all_[0]) for kind, all_ in kinds.items()]
    return sorted(found, key=lambda fault: (-fault.count, fault.kind))


def good(row: Row, objectives: Mapping[str, float]) -> bool:
    """Whether a request was answered and met every objective."""
    if row.kind != OK:
        return False
    found = {"ttft": ttft(row), "tpot": tpot(row), "e2e": e2e(row), "itl": longest_gap(row)}
    return met(found, objectives)


def goodput(
    inside: Sequence[Row], objectives: Mapping[str, float], *, span: float
) -> Goodput | None:
    """Share and rate of good requests among those that have an outcome.

    Args:
        inside: All rows of the window.
        objectives: None are no goodput.
        span: Seconds of the window.
    """
    known = [row for row in inside if row.kind != UNFINISHED]
    if not objectives or not known or span <= 0:
        return None
    share = metrics.share(sum(good(row, objectives) for row in known), len(known))
    rate = len(known) / span
    scaled = Estimate(value=share.value * rate, low=share.low * rate, high=share.high * rate)
    return Goodput(share=share, rate=scaled)


def rates(rows: Sequence[Row], *, begin: float, end: float) -> Rates:
    """What was sent and what ended in the window, a second."""
    span = max(end - begin, 1e-9)
    ended = [row for row in rows if row.kind == OK and begin <= (row.last or -1.0) < end]
    return Rates(
        arrivals=sum(begin <= row.at < end for row in rows) / span,
        answers=len(ended) / span,
        tokens_in=sum(row.tokens_in for row in ended) / span,
        tokens_out=sum(row.tokens_out for row in ended) / span,
    )


def token_sums(answered: Sequence[Row]) -> TokenSums:
    """Tokens of the answered requests of the window."""
    return TokenSums(
        asked_in=sum(row.asked_in for row in answered),
        tokens_in=sum(row.tokens_in for row in answered),
        tokens_out=sum(row.tokens_out for row in answered),
        cached=sum(row.cached for row in answered),
        requests=len(answered),
        counted=sum(row.counted for row in answered),
    )


def health(
    plan: Plan, found: Mapping[str, Figure], *, client: Client, state: Steady, tally: Counts
) -> Health:
    """Judge the client: a late or busy one reports its own troubles as the service's."""
    delay, lag = _top(found["delay"]), _p99(client.lags)
    middle = dict(found[main_latency(plan)].curve).get(0.5, 0.0)
    allowed = max(LATE_S, LATE_SHARE * middle)
    against: dict[Doubt, bool] = {
        "late": delay > allowed and not plan.clients,
        "lag": lag > allowed,
        "busy": client.cpu > BUSY,
        "worker": client.lost,
    }
    beside: dict[Doubt, bool] = {
        "partial": client.partial,
        "saturated": state.grows,
        "few": tally.window_answered < metrics.needed(RANKS["p99"]),
        "errors": tally.failed > 0,
    }
    return Health(
        valid=not any(against.values()),
        doubts=[name for name, holds in (against | beside).items() if holds],
        delay=delay,
        allowed=allowed,
        lag=lag,
        cpu=client.cpu,
    )


def _top(found: Figure) -> float:
    return (
        found.curve[-1][1]
        if found.curve and found.count < 100
        else dict(found.curve).get(0.99, 0.0)
    )


def _p99(values: Sequence[float]) -> float:
    return metrics.quantile(sorted(values), 0.99) if values else 0.0


def summed(plan: Plan, rows: Sequence[Row], *, warmup: float | None, client: Client) -> Summary:
    """Everything that rows tell.

    Args:
        plan: Of the run.
        rows: All of them.
        warmup: Seconds to leave out; None leaves it to us.
        client: What the workers said of themselves.
    """
    ordered = sorted(rows, key=lambda row: row.at)
    last = ordered[-1].at if ordered else 0.0
    end = last if client.partial else max(last, min(plan.duration, last + 1.0 / (plan.rate or 1.0)))
    begin = window(plan, ordered, warmup=warmup, end=end)
    inside = [row for row in ordered if begin <= row.at <= end]
    answered = [row for row in inside if row.kind == OK]
    state = steady(plan, answered, begin=begin, end=end)
    found = figures(answered, grows=state.grows)
    tally = counts(ordered, inside)
    return Summary(
        counts=tally,
        faults=faults(ordered),
        figures=found,
        rates=rates(ordered, begin=begin, end=end),
        tokens=token_sums(answered),
        goodput=goodput(inside, plan.slo, span=end - begin),
        health=health(plan, found, client=client, state=state, tally=tally),
        steady=state,
    )
