"""Pace: how fast a server is with 1, 2, ... tasks in service, as it was seen, and what follows."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from littoral.cost.chain import Chain, chain

Z95: Final = 1.959964
SLACK: Final = 0.05
"""What the chain may be too slow by, though all it was told is right."""
OPTIMISM: Final = 0.52
"""What it may be too quick by, for each share of the work that is reading: an engine reads a new
input whole while all who write stand still, and the chain shares everything."""
LEAST_CS2: Final = 0.01
FAINTEST: Final = 1e-12
"""States of less weight, by the likeliest one's, are left out."""
MOST_STATES: Final = 10_000
MOMENT_S: Final = 1e-9


class Pace(NamedTuple):
    """Tasks a second with so many in service, and the relative standard error of that."""

    rate: float
    error: float


class Expected(NamedTuple):
    """Mean seconds from arrival to the end, and the bounds that a measured mean is held to.

    ``balance`` is the chain's, at the rates as they were seen.
    """

    low: float
    sojourn_s: float
    high: float
    balance: Chain


def paces(
    spans: Sequence[tuple[float, float]], slots: int, *, cs2: float = 1.0
) -> tuple[Pace, ...]:
    """Read the pace with each number in service from tasks as they came and ended.

    More tasks are never slower together: neighbours that say otherwise are joined, each weighing
    by the time it was seen for. A number that was never seen has the pace of the next lower one
    that was.

    Args:
        spans: When each task came and when it ended, seconds.
        slots: Most in service at once, at least 1; who is beyond them waits.
        cs2: Squared coefficient of variation of the work of tasks.

    Returns:
        Paces of 1 to ``slots`` in service; none where no task is known.

    Source: completions by time in each state; isotonic by adjacent violators.
    Checked by: tests/unit/cost/test_pace.py.
    """
    if not spans:
        return ()
    seconds, ended = _states(spans, slots)
    groups: list[tuple[float, float, int]] = []  # completions, seconds, how many states
    for count, time in zip(ended, seconds, strict=True):
        groups.append((count, time, 1))
        while len(groups) > 1 and groups[-2][0] * groups[-1][1] >= groups[-1][0] * groups[-2][1]:
            one, other = groups.pop(), groups.pop()
            groups.append((one[0] + other[0], one[1] + other[1], one[2] + other[2]))
    found: list[Pace] = []
    for count, time, states in groups:
        found += [Pace(count / time, math.sqrt(max(cs2, LEAST_CS2) / count))] * states
    return tuple(found)


def expected(
    lam: float,
    each: Sequence[Pace],
    *,
    span_s: float,
    reading: float = 0.0,
    ca2: float = 1.0,
    cs2: float = 1.0,
) -> Expected:
    """Predict the mean sojourn that tasks at ``lam`` a second will have over ``span_s``.

    The bounds hold what is not known of each pace, how far the mean of so short a time may stray
    from that of a long one, and the chain's own error, which grows with reading.

    Args:
        lam: Arrivals a second, above 0.
        each: Paces of 1, 2, ... in service, at least one.
        span_s: How long will be measured, seconds, above 0.
        reading: Share of a lone task's seconds in which its input is read, 0 to 1.
        ca2: Squared coefficient of variation between arrivals.
        cs2: The same of the work.

    Returns:
        ``inf`` seconds and bounds where the last pace is too slow.

    Source: the platform's chain; the delta method; the variance of time averages of birth-death
    chains (Burman).
    Checked by: tests/unit/cost/test_pace.py and tests/sim/test_chain.py.
    """
    rates = [pace.rate for pace in each]
    balance = chain(lam, rates, ca2=ca2, cs2=cs2)
    middle = balance.sojourn_s
    if not balance.stable:
        return Expected(math.inf, math.inf, math.inf, balance)
    variance = _wandering(lam, rates) / (lam * lam * span_s)
    for at, pace in enumerate(each):
        slower = [*rates[:at], rates[at] * math.exp(-pace.error), *rates[at + 1 :]]
        variance += (chain(lam, slower, ca2=ca2, cs2=cs2).sojourn_s - middle) ** 2
    spread = Z95 * math.sqrt(variance)
    low = max(0.0, middle - spread) * (1.0 - SLACK)
    return Expected(low, middle, (middle + spread) / (1.0 - OPTIMISM * reading), balance)


def _states(spans: Sequence[tuple[float, float]], slots: int) -> tuple[list[float], list[float]]:
    """Return the seconds with each number in service, and the tasks that ended then.

    A number that was never seen has a moment, so that it is joined to a neighbour.
    """
    seconds, ended = [MOMENT_S] * slots, [0.0] * slots
    events = sorted([(ends, -1) for _, ends in spans] + [(came, 1) for came, _ in spans])
    present = 0
    for (at, change), (later, _) in pairwise([*events, events[-1]]):
        if change < 0:
            ended[min(present, slots) - 1] += 1.0
        present += change
        if present > 0:
            seconds[min(present, slots) - 1] += later - at
    return seconds, ended


def _wandering(lam: float, rates: Sequence[float]) -> float:
    """Return the variance of the mean number present, times the seconds that it is taken over."""
    logs = [0.0]
    most, top = len(rates), 0.0
    while len(logs) <= most or (logs[-1] > top + math.log(FAINTEST) and len(logs) < MOST_STATES):
        logs.append(logs[-1] + math.log(lam / rates[min(len(logs), most) - 1]))
        top = max(top, logs[-1])
    weights = [math.exp(value - top) for value in logs]
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    mean = math.fsum(count * share for count, share in enumerate(shares))
    below = found = 0.0
    for count, share in enumerate(shares[:-1]):
        below += (count - mean) * share
        found += 2.0 * below * below / (lam * max(share, 1e-300))
    return found
