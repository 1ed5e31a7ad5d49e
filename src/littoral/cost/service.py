"""Service: one task at one place. ECS = f(T, C, B, N) and CCS = h(R, C, B, M)."""

import math
from typing import Final, NamedTuple

from littoral.cost.money import (
    api,
    busy,
    node_full,
    node_marginal,
    replica_full,
    replica_marginal,
)
from littoral.cost.terms import decode, prefill, transfer
from littoral.cost.wait import wait
from littoral.domain.platform import (
    Calibration,
    Estimate,
    Link,
    Load,
    NodePrice,
    ReplicaPrice,
    Steps,
    Task,
    TokenPrice,
)
from littoral.domain.units import Seconds

FLOOR_S: Final = 0.005
"""No prediction is below this."""
NARROWEST: Final = 0.02
WH_JOULES: Final = 3600.0


class _Times(NamedTuple):
    """The median's parts, seconds."""

    network: float
    waiting: float
    reading: float
    ahead: float
    fixed: float
    writing: float
    sending: float

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.fixed + self.network + self.waiting + self.reading + self.ahead


def predict_edge(
    task: Task,
    load: Load,
    link: Link,
    *,
    calibration: Calibration,
    price: NodePrice,
    use: float = 0.0,
) -> Estimate:
    """Predict one task on one machine of our own.

    ``first = fixed + network + W + P + ahead*U``; the rest is decoding with the company that is
    there, or the link where it is slower. A link that carries nothing gives ``inf`` seconds.

    Args:
        task: Its sizes (C).
        load: What is there already (T).
        link: The way to it (B).
        calibration: The model on this machine.
        price: What the machine costs.
        use: Its busy share, for the full cost.

    Source: ECS = f(T, C, B, N) for one of N.
    Checked by: tests/unit/cost/test_service.py.
    """
    times, taken = (
        _times(task, load, link=link, calibration=calibration),
        _taken(task, load, calibration),
    )
    watt_s = (price.active_w - price.idle_w) * taken
    return _estimate(
        times,
        task,
        calibration,
        busy_s=taken,
        marginal=node_marginal(taken, price),
        full=node_full(taken, price, use=use),
        watt_hours=watt_s / WH_JOULES,
    )


def predict_cloud(
    task: Task,
    load: Load,
    link: Link,
    *,
    calibration: Calibration,
    price: ReplicaPrice | TokenPrice,
    use: float = 0.0,
) -> Estimate:
    """Predict one task on a rented replica or an API, the way there included.

    Args:
        task: Its sizes (C).
        load: What the replica has already; nothing is known of an API's.
        link: The way to it (B).
        calibration: The model there; ``slots`` 0 for an API.
        price: By the hour or by the token.
        use: The pool's busy share, for the full cost.

    Source: CCS = h(R, C, B, M) for one of R.
    Checked by: tests/unit/cost/test_service.py.
    """
    times, taken = (
        _times(task, load, link=link, calibration=calibration),
        _taken(task, load, calibration),
    )
    if isinstance(price, TokenPrice):
        marginal = full = api(task, task.out_p50, price)
        taken = 0.0
    else:
        marginal = replica_marginal(taken, task.bytes_down, price)
        full = replica_full(taken, task.bytes_down, price, use=use)
    return _estimate(times, task, calibration, busy_s=taken, marginal=marginal, full=full)


def from_steps(steps: Steps, *, tokens_in: float, tokens_out: float, slots: int) -> Calibration:
    """Reduce step coefficients to a request's, at the mean sizes of a mix.

    ``kappa``, the context a step sees, is the input and half of the answer.

    Source: the step model; the prior of an endpoint that was never measured.
    Checked by: tests/unit/cost/test_service.py.
    """
    kappa = tokens_in + max(1.0, tokens_out) / 2.0
    grows = steps.b2 + steps.b3 * kappa
    step_s = steps.b0 + grows
    return Calibration(
        fixed_s=Seconds(steps.b0),
        prefill_s=Seconds(steps.b1 + steps.b4 * tokens_in / 2.0 + steps.b0 / steps.chunk),
        ahead_s=Seconds(steps.b1),
        step_s=Seconds(step_s),
        pen=grows / step_s if step_s > 0.0 else 0.0,
        slots=slots,
    )


def _company(load: Load, calibration: Calibration) -> float:
    """Return how many are in service once the task is, itself included."""
    if calibration.slots == 0:
        return 1.0
    return float(min(load.active + 1, calibration.slots))


def _taken(task: Task, load: Load, calibration: Calibration) -> float:
    return busy(task, _company(load, calibration), calibration)


def _times(task: Task, load: Load, *, link: Link, calibration: Calibration) -> _Times:
    slots, pen, step = calibration.slots, calibration.pen, calibration.step_s
    j = _company(load, calibration)
    full = 0 < slots <= load.active
    waiting = 0.0
    if full:
        waiting = wait(load.remaining, load.queued, stretch=1.0 + pen * (slots - 1))
    token_s = step * (1.0 + pen * (j - 1.0))
    more = max(0, task.out_p50 - 1)
    slower = max(0.0, transfer(task.bytes_token, link.down_bps) - token_s) if more else 0.0
    return _Times(
        network=link.trips * link.rtt_s + transfer(task.bytes_up, link.up_bps),
        waiting=waiting,
        reading=prefill(calibration.prefill_s, task.tokens_in - task.tokens_cached),
        ahead=0.0 if waiting else calibration.ahead_s * load.unread,
        fixed=calibration.fixed_s,
        writing=decode(step, pen, task.out_p50, j),
        sending=more * slower if more else 0.0,
    )


def _estimate(  # noqa: PLR0913  one place that makes the record
    times: _Times,
    task: Task,
    calibration: Calibration,
    *,
    busy_s: float,
    marginal: float,
    full: float,
    watt_hours: float = 0.0,
) -> Estimate:
    first = max(FLOOR_S, times.first)
    total = first + times.writing + times.sending
    speed = max(NARROWEST, calibration.width)
    length = math.log(max(1.0, task.out_p90 / task.out_p50))
    share = times.writing / total if math.isfinite(total) else 0.0
    width = math.hypot(speed, share * length)
    return Estimate(
        first_p50_s=Seconds(first),
        first_p90_s=Seconds(first * math.exp(speed)),
        total_p50_s=Seconds(total),
        total_p90_s=Seconds(total * math.exp(width)),
        busy_s=Seconds(busy_s),
        marginal=marginal,
        full=full,
        watt_hours=watt_hours,
        terms=times._asdict(),
    )
