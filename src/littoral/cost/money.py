"""Money: what one task causes, what its share of everything is, and what a month costs."""

from typing import Final

from littoral.cost.terms import decode, prefill
from littoral.domain.platform import Calibration, NodePrice, ReplicaPrice, Task, TokenPrice

JOULES_KWH: Final = 3.6e6
HOUR_S: Final = 3600.0
MONTH_H: Final = 730.0
MONTH_S: Final = MONTH_H * HOUR_S
LEAST_USE: Final = 0.05
"""Below this busy share the rest of a machine's cost is nobody's: it stands on its own line."""


def busy(task: Task, j: float, calibration: Calibration) -> float:
    """Return the engine-seconds a task takes with ``j`` sequences in service, itself included.

    A step that j share counts 1/j for each, so that all tasks together take what the engine ran.

    Checked by: tests/unit/cost/test_money.py.
    """
    reading = prefill(calibration.prefill_s, task.tokens_in - task.tokens_cached)
    return reading + decode(calibration.step_s, calibration.pen, task.out_p50, j) / j


def node_marginal(busy_s: float, price: NodePrice) -> float:
    """Return what a task causes on a machine of our own: power beyond idling.

    Checked by: tests/unit/cost/test_money.py.
    """
    return (price.active_w - price.idle_w) * busy_s / JOULES_KWH * price.kwh


def node_full(busy_s: float, price: NodePrice, *, use: float) -> float:
    """Return a task's share of everything a machine of our own costs; ``use`` is its busy share.

    Checked by: tests/unit/cost/test_money.py.
    """
    per_s = price.capex / price.life_s + price.month / MONTH_S
    per_s += price.idle_w * price.kwh / JOULES_KWH
    return node_marginal(busy_s, price) + busy_s / max(LEAST_USE, use) * per_s


def replica_marginal(busy_s: float, bytes_down: float, price: ReplicaPrice) -> float:
    """Return what a task causes on a rented machine: time only where the pool grows with load.

    Checked by: tests/unit/cost/test_money.py.
    """
    time = busy_s / price.use_target * price.hour / HOUR_S if price.autoscales else 0.0
    return time + bytes_down * price.egress


def replica_full(busy_s: float, bytes_down: float, price: ReplicaPrice, *, use: float) -> float:
    """Return a task's share of what a rented machine costs.

    Checked by: tests/unit/cost/test_money.py.
    """
    return busy_s / max(LEAST_USE, use) * price.hour / HOUR_S + bytes_down * price.egress


def api(task: Task, tokens_out: float, price: TokenPrice) -> float:
    """Return what an API charges for a task; marginal and full are the same.

    Checked by: tests/unit/cost/test_money.py.
    """
    fresh = max(0, task.tokens_in - task.tokens_cached)
    paid = fresh * (price.token_in + price.written) + task.tokens_cached * price.cached
    sent = (task.bytes_up + task.bytes_down) * price.byte
    return paid + tokens_out * price.token_out + price.request + sent


def node_month(price: NodePrice, *, use: float) -> float:
    """Return what a machine of our own costs a month at this busy share.

    Checked by: tests/unit/cost/test_money.py.
    """
    watts = price.idle_w + use * (price.active_w - price.idle_w)
    return price.capex / price.life_s * MONTH_S + watts * MONTH_H / 1000.0 * price.kwh + price.month


def pool_month(replicas: int, price: ReplicaPrice, *, sent: float, month: float) -> float:
    """Return what ``replicas`` cost a month; ``sent`` bytes a second leave, ``month`` is the rest.

    Checked by: tests/unit/cost/test_money.py.
    """
    return replicas * MONTH_H * price.hour + sent * MONTH_S * price.egress + month
