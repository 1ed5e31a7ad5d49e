"""How long to wait before trying again: full jitter under a doubling bound."""

from dataclasses import dataclass

from littoral.domain.ports import Chance
from littoral.domain.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a process that ends again and again is treated.

    ``crashes`` in five minutes open the breaker, 0 never does; no wait before a restart is longer
    than ``longest_s``; what is let go may finish what is open within ``drain_s``. What is looked at
    again and again is looked at ``pace`` times less often: above 1 where whole days are simulated.
    """

    crashes: int = 5
    longest_s: Seconds = Seconds(60.0)
    drain_s: Seconds = Seconds(10.0)
    pace: float = 1.0


def delay(attempt: int, *, first_s: float = 1.0, cap_s: float = 60.0, chance: Chance) -> Seconds:
    """Draw the wait before try ``attempt`` (0 is the first retry): U(0, min(cap, first * 2^n)).

    Full jitter, so that many who failed together do not come back together.
    """
    return Seconds(chance.random() * min(cap_s, first_s * 2.0 ** min(attempt, 30)))
