"""Wanted: what a policy asks of the place of one key's requests for one model, ready for use."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from littoral.domain.audit import Standing
from littoral.domain.policy import Policy, PolicySpec
from littoral.placement.filters import residence_mask
from littoral.placement.harm import Flight, slope
from littoral.placement.policy import Asker, holding, tagged

MOST_HELD: Final = 16
"""Requests under way at a place that are looked at to say what one more would do to them."""
LEAST_S: Final = 0.05
"""Nothing under way is taken to need less than this, seconds."""


class Wanted(NamedTuple):
    """The policy's name and text; its deadline, seconds, infinite for none; its residency's bit.

    ``tag`` is that of the requests, else the policy's name; ``standing`` is what audits of the
    policy say.
    """

    name: str
    spec: PolicySpec
    total_s: float
    needs: int
    tag: str = ""
    standing: Standing | None = None

    @property
    def scope(self) -> str:
        """What it is remembered by, wherever its tag matters."""
        return f"{self.name}\n{self.tag}" if self.standing is not None else self.name

    @property
    def priced(self) -> bool:
        """Whether a miss has a price."""
        return self.spec.miss_cost is not None


class Under(NamedTuple):
    """A request under way: until when it is to end, when it is expected to, and how surely.

    Both in monotonic seconds; ``spread`` is p90 divided by p50.
    """

    due: float
    ends: float
    spread: float


def wanted_of(
    policies: Sequence[Policy], asker: Asker, standings: Mapping[str, Standing]
) -> Wanted | None:
    """What holds for these requests, if anything does."""
    asker = tagged(policies, asker)
    found = holding(policies, asker)
    if found is None:
        return None
    spec = found.spec
    total_s = math.inf if spec.total_s is None else spec.total_s
    needs = 0 if spec.residency == "any" else residence_mask((spec.residency,))
    standing = standings.get(found.name)
    tag = asker.tag or found.name
    return Wanted(found.name, spec, total_s, needs, tag=tag, standing=standing)


def harm_of(under: Sequence[Under], now: float, *, delay_s: float) -> float:
    """How many deadlines are missed for each second that those under way are held up.

    Args:
        under: Requests of one place; of many, the first sixteen.
        now: Monotonic seconds.
        delay_s: By how much a usual newcomer holds them up.
    """
    flights = [
        Flight(each.due - now, max(LEAST_S, each.ends - now), each.spread)
        for each in under[:MOST_HELD]
    ]
    return slope(flights, delay_s=delay_s)
