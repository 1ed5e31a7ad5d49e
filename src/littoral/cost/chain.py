"""Chain: a server that shares its speed, as a birth-death chain whose rate depends on the load."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

QUANTILES: Final = 64
MOST_USE: Final = 0.97
"""Share of the largest rate that is ever planned for."""
BISECTIONS: Final = 30


class Chain(NamedTuple):
    """A chain in balance.

    ``wait`` is the probability to wait, ``queue_s`` and ``service_s`` the mean seconds in the queue
    and in service, ``busy`` the probability that anything runs, ``use`` the rate by the largest
    one. ``theta`` is the rate at which waits die out, 1/s. Without balance seconds are ``inf``.
    """

    wait: float
    queue_s: float
    service_s: float
    busy: float
    use: float
    theta: float

    @property
    def stable(self) -> bool:
        """Whether the queue stays finite."""
        return self.use < 1.0

    @property
    def sojourn_s(self) -> float:
        """Mean seconds from arrival to the end."""
        return self.queue_s + self.service_s


def rates(prefill_s: float, decode_s: float, *, pen: float, slots: int) -> tuple[float, ...]:
    """Return tasks per second with 1 to ``slots`` in service.

    ``1 / (P + D * (1 + pen*(j - 1)) / j)``: reading is serial, writing is shared.

    Args:
        prefill_s: Seconds to read a mean input, alone.
        decode_s: Seconds to write a mean answer, alone.
        pen: What each further sequence adds to a step, as a share.
        slots: Sequences at once, at least 1.

    Source: ECP and CCP; the platform's chain.
    Checked by: tests/unit/cost/test_chain.py and tests/sim/test_chain.py.
    """
    return tuple(
        1.0 / max(1e-12, prefill_s + decode_s * (1.0 + pen * (j - 1)) / j)
        for j in range(1, slots + 1)
    )


def pooled(each: Sequence[float], replicas: int) -> tuple[float, ...]:
    """Return the rates of ``replicas`` alike that share one queue, tasks spread evenly.

    Checked by: tests/unit/cost/test_chain.py.
    """
    table = (0.0, *each)
    found: list[float] = []
    for j in range(1, len(each) * replicas + 1):
        low, more = divmod(j, replicas)
        high = table[low + 1] if more else 0.0
        found.append(more * high + (replicas - more) * table[low])
    return tuple(found)


def best_slots(each: Sequence[float]) -> int:
    """Return how many sequences at once give the most; more may give less."""
    return max(range(len(each)), key=lambda at: (each[at], -at)) + 1


def chain(lam: float, each: Sequence[float], *, ca2: float = 1.0, cs2: float = 1.0) -> Chain:
    """Put ``lam`` tasks a second on a server with these rates.

    Args:
        lam: Arrivals per second, at least 0.
        each: Tasks per second with 1, 2, ... in service; the last holds above, too.
        ca2: Squared coefficient of variation between arrivals; above 2 prefer simulation.
        cs2: The same of the time in service.

    Returns:
        The chain; ``inf`` seconds at or above the last rate, where the queue grows for ever.

    Source: birth-death chain, waits scaled by (ca2 + cs2) / 2; pen 0 is Erlang C, one slot is
    Pollaczek and Khinchine.
    Checked by: tests/unit/cost/test_chain.py and tests/sim/test_chain.py.
    """
    last = each[-1]
    use = lam / last
    if use >= 1.0:
        return Chain(1.0, math.inf, math.inf, 1.0, use, 0.0)
    spread = (ca2 + cs2) / 2.0
    theta = (last - lam) / spread if spread > 0.0 else math.inf
    if lam <= 0.0:
        return Chain(0.0, 0.0, 1.0 / each[0], 0.0, 0.0, theta)
    logs = [0.0]
    for rate in each:
        logs.append(logs[-1] + math.log(lam / rate))
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    full = weights[-1] / (1.0 - use)
    total = sum(weights[:-1]) + full
    queued = weights[-1] * use / (1.0 - use) ** 2 / total
    serving = (sum(j * p for j, p in enumerate(weights[:-1])) + len(each) * full) / total
    return Chain(
        wait=full / total,
        queue_s=queued / lam * spread,
        service_s=serving / lam,
        busy=1.0 - weights[0] / total,
        use=use,
        theta=theta,
    )


def tail(balance: Chain, limit_s: float, *, cs2: float = 1.0, fixed_s: float = 0.0) -> float:
    """Return the probability that a task takes longer than ``limit_s``.

    The mean over 64 quantiles of a log-normal service; behind each the wait dies out
    exponentially. ``fixed_s`` runs beside the engine.

    Checked by: tests/unit/cost/test_chain.py and tests/sim/test_chain.py.
    """
    limit = limit_s - fixed_s
    if not balance.stable or limit <= 0.0:
        return 1.0
    sigma = math.sqrt(math.log1p(cs2))
    centre = math.log(balance.service_s) - sigma * sigma / 2.0
    over = 0.0
    for z in _NORMAL:
        left = limit - math.exp(centre + sigma * z)
        over += 1.0 if left < 0.0 else balance.wait * math.exp(-balance.theta * left)
    return over / QUANTILES


def capacity(
    each: Sequence[float], limit_s: float, target: float, *, ca2: float, cs2: float, fixed_s: float
) -> float:
    """Return the largest rate at which a share ``target`` of all ends within ``limit_s``.

    At most 97 % of the largest rate; 0 where not even a lone task makes it.

    Checked by: tests/unit/cost/test_chain.py.
    """

    def meets(lam: float) -> bool:
        late = tail(chain(lam, each, ca2=ca2, cs2=cs2), limit_s, cs2=cs2, fixed_s=fixed_s)
        return late <= 1.0 - target + 1e-12

    return _largest(meets, MOST_USE * each[-1])


def _largest(meets: Callable[[float], bool], most: float) -> float:
    """Return the largest value up to ``most`` that meets what only larger ones miss."""
    if meets(most):
        return most
    low, high = 0.0, most
    if not meets(0.0):
        return 0.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


def _quantile(share: float) -> float:
    """Return the standard normal's quantile, by bisection."""
    low, high = -9.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2.0
        below = 1.0 - math.erfc(middle / math.sqrt(2.0)) / 2.0
        low, high = (middle, high) if below < share else (low, middle)
    return low


_NORMAL: Final = tuple(_quantile((at + 0.5) / QUANTILES) for at in range(QUANTILES))
