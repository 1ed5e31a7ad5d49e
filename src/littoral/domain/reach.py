"""Reach: where a request may be, and so which ways it may take.

Whoever passes a request on sees it in plain text: a hop is a place like any other. A way may be
used only where its every hop, and the node at its end, lie where the project's requests may be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from littoral.domain.enrolment import SITE, Tier

Residency: TypeAlias = Literal["any", "site", "edge-only"]
"""Where a project's requests may be: wherever it pays, only on the site where they were admitted,
only on edge nodes."""
RESIDENCIES: Final[tuple[Residency, ...]] = get_args(Residency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a machine stands: at which site, and whether that is out at the edge."""

    site: str
    tier: Tier


HOME: Final = Spot(site=SITE, tier="cloud")
"""Where control stands, and the node beside it."""


def allowed(residency: Residency, origin: Spot, hops: Iterable[Spot]) -> bool:
    """Whether a request admitted at ``origin`` may go over these hops, the last of them its end."""
    if residency == "any":
        return True
    if residency == "site":
        return all(hop.site == origin.site for hop in hops)
    return origin.tier == "edge" and all(hop.tier == "edge" for hop in hops)


def within(origin: Spot, hops: Iterable[Spot]) -> tuple[Residency, ...]:
    """The residencies that allow a way."""
    known = tuple(hops)
    return tuple(each for each in RESIDENCIES if allowed(each, origin, known))
