"""Capacity: a platform at an objective. ECP = g(T, C, B, N) and CCP = i(R, C, B, M)."""

from collections.abc import Sequence
from typing import Final

from littoral.cost import chain
from littoral.cost.money import node_month, pool_month
from littoral.cost.terms import decode, prefill
from littoral.domain.platform import Calibration, Capacity, EdgeNode, Mix, Objective, Pool

STATES: Final = 1024
"""Most sums of capacities that are told apart; closer ones are joined."""


def speeds(mix: Mix, calibration: Calibration) -> tuple[float, ...]:
    """Return tasks of a mix per second with 1, 2, ... in service.

    Checked by: tests/unit/cost/test_capacity.py.
    """
    return chain.rates(
        prefill(calibration.prefill_s, mix.tokens_in - mix.tokens_cached),
        decode(calibration.step_s, 0.0, mix.tokens_out, 1.0),
        pen=calibration.pen,
        slots=max(1, calibration.slots),
    )


def size_edge(
    mix: Mix, nodes: Sequence[EdgeNode], objective: Objective, *, assurance: float = 0.999
) -> Capacity:
    """Say what N machines carry at an objective, and what they cost a month at the mix's rate.

    Args:
        mix: What comes (T, C).
        nodes: The machines (N), each with how often it is there.
        objective: Which share is to end in time.
        assurance: With which probability the guaranteed rate is there.

    Returns:
        No nodes carry nothing and cost nothing. ``feasible`` says whether the guaranteed rate
        covers the mix's.

    Source: ECP = g(T, C, B, N).
    Checked by: tests/unit/cost/test_capacity.py.
    """
    each = [_carries(mix, node.calibration, objective) for node in nodes]
    mean = sum(node.usable * rate for node, rate in zip(nodes, each, strict=True))
    sure = guaranteed(
        [(rate, node.usable) for rate, node in zip(each, nodes, strict=True)], assurance
    )
    month = 0.0
    for node, rate in zip(nodes, each, strict=True):
        share = mix.rate * node.usable * rate / mean if mean > 0.0 else 0.0
        balance = chain.chain(share, speeds(mix, node.calibration), ca2=mix.ca2, cs2=mix.cs2)
        month += node_month(node.price, use=balance.busy)
    return Capacity(
        rate=mean,
        guaranteed=sure,
        size=len(nodes),
        month=month,
        feasible=sure >= mix.rate,
        factor=_factor(mix.rate, sure),
    )


def size_cloud(mix: Mix, pool: Pool, objective: Objective) -> Capacity:
    """Find the fewest replicas that meet an objective.

    Args:
        mix: What will come once a replica that is ordered now is there (T, C).
        pool: The replicas that can be had (R of at most M).
        objective: Which share is to end in time.

    Returns:
        The replicas; where even all are too few, all of them, and by which factor the load exceeds
        what they carry.

    Source: CCP = i(R, C, B, M).
    Checked by: tests/unit/cost/test_capacity.py.
    """
    low, high = 0, pool.most
    while low < high:  # more replicas never carry less
        middle = (low + high) // 2
        rate = _carries(mix, pool.calibration, objective, replicas=middle)
        low, high = (low, middle) if rate >= mix.rate else (middle + 1, high)
    rate = _carries(mix, pool.calibration, objective, replicas=low)
    return Capacity(
        rate=rate,
        guaranteed=rate,
        size=low,
        month=pool_month(low, pool.price, sent=mix.rate * mix.bytes_down, month=pool.month),
        feasible=rate >= mix.rate,
        factor=_factor(mix.rate, rate),
    )


def guaranteed(each: Sequence[tuple[float, float]], assurance: float) -> float:
    """Return the largest sum of rates that is there with probability ``assurance``.

    Args:
        each: (rate, probability to be there) of every machine, which fail apart.
        assurance: At most 1.

    Checked by: tests/unit/cost/test_capacity.py.
    """
    sums: dict[float, float] = {0.0: 1.0}
    for rate, usable in sorted(each):
        grown: dict[float, float] = {}
        for value, p in sums.items():
            grown[value] = grown.get(value, 0.0) + p * (1.0 - usable)
            more = round(value + rate, 9)
            grown[more] = grown.get(more, 0.0) + p * usable
        sums = _joined(grown)
    there = 0.0
    for value in sorted(sums, reverse=True):
        there += sums[value]
        if there >= assurance - 1e-12:
            return value
    return 0.0


def _joined(sums: dict[float, float]) -> dict[float, float]:
    """Join sums that are close, each group at its mean, where there are too many."""
    if len(sums) <= STATES:
        return sums
    width = max(sums) / (STATES / 2)
    mass: dict[int, float] = {}
    moment: dict[int, float] = {}
    for value, p in sums.items():
        at = int(value / width)
        mass[at] = mass.get(at, 0.0) + p
        moment[at] = moment.get(at, 0.0) + p * value
    return {round(moment[at] / p, 9): p for at, p in mass.items() if p > 0.0}


def _carries(
    mix: Mix, calibration: Calibration, objective: Objective, *, replicas: int = 1
) -> float:
    """Return the largest rate of the mix that ``replicas`` alike carry at the objective."""
    if replicas == 0:
        return 0.0
    return chain.capacity(
        chain.pooled(speeds(mix, calibration), replicas),
        objective.total_s,
        objective.target,
        ca2=mix.ca2,
        cs2=mix.cs2,
        fixed_s=calibration.fixed_s,
    )


def _factor(wanted: float, rate: float) -> float:
    if rate > 0.0:
        return wanted / rate
    return float("inf") if wanted > 0.0 else 0.0
