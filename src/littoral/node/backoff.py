"""How long to wait before trying again: full jitter under a doubling bound."""

from littoral.domain.ports import Chance
from littoral.domain.units import Seconds


def delay(attempt: int, *, first_s: float = 1.0, cap_s: float = 60.0, chance: Chance) -> Seconds:
    """Draw the wait before try ``attempt`` (0 is the first retry): U(0, min(cap, first * 2^n)).

    Full jitter, so that many who failed together do not come back together.
    """
    return Seconds(chance.random() * min(cap_s, first_s * 2.0 ** min(attempt, 30)))
