"""The run as it went: steps of time, and points for a plot."""

import math
from collections.abc import Iterable, Sequence

from littoral.app.bench.message import OK, UNFINISHED, Row
from littoral.app.bench.result import Plan, Timeline
from littoral.app.bench.summary import good, latency

STEPS = 120
DOTS = 2000


def timeline(rows: Sequence[Row], *, end: float) -> Timeline:
    """The whole run in at most 120 steps."""
    last = max([end, *(row.last for row in rows if row.last is not None)])
    step = _round_step(last / STEPS)
    size = int(last / step) + 1
    arrivals, answers, failures, moves, tokens = ([0] * (size + 1) for _ in range(5))
    for row in rows:
        begun = min(size, int(row.at / step))
        arrivals[begun] += 1
        failures[begun] += row.kind not in {OK, UNFINISHED}
        moves[begun] += 1
        if row.last is not None:
            ended = min(size, int(row.last / step))
            moves[ended] -= 1
            answers[ended] += row.kind == OK
            tokens[ended] += row.tokens_out
    flight = [sum(moves[: place + 1]) for place in range(size)]
    return Timeline(
        step=step,
        arrivals=arrivals[:size],
        answers=answers[:size],
        failures=failures[:size],
        flight=flight,
        tokens=tokens[:size],
    )


def _round_step(least: float) -> float:
    """The smallest of 0.1, 0.2, 0.5, 1, 2, 5, ... seconds that is not below ``least``."""
    size = 0.1
    factors = (2.0, 2.5, 2.0)
    place = 0
    while size < least * (1 - 1e-9):
        size *= factors[place % 3]
        place += 1
    return round(size, 6)


def most_in_flight(rows: Iterable[Row]) -> int:
    """The most requests under way at once."""
    moves: list[tuple[float, int]] = []
    for row in rows:
        if row.sent is not None:
            moves += [(row.sent, 1), (math.inf if row.last is None else row.last, -1)]
    now = most = 0
    for _, move in sorted(moves):
        now += move
        most = max(most, now)
    return most


def dots(plan: Plan, rows: Sequence[Row], *, begin: float) -> list[tuple[float, float, int]]:
    """Points of a plot: every request, or every so many of them."""
    served = [row for row in rows if row.kind == OK and latency(plan, row) is not None]
    every = max(1, math.ceil(len(served) / DOTS))
    return [
        (
            round(row.at, 4),
            round(latency(plan, row) or 0.0, 6),
            0 if row.at < begin else 1 if good(row, plan.slo) else 2,
        )
        for row in served[::every]
    ]
