"""Split: of two versions that serve one name, which takes a request, by its id."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName
from littoral.placement.canary import is_chosen


class Split(NamedTuple):
    """The share of requests that the new version gets, and the positions of both, as bits."""

    share: float
    new: int
    old: int


def split_of(
    deployments: Sequence[DeploymentName], assignments: Iterable[Assignment]
) -> Split | None:
    """How requests are split over places, by position; None where they are not."""
    shares = {each.name: each.share for each in assignments if each.share is not None}
    new = sum(1 << at for at, name in enumerate(deployments) if name in shares)
    if not new:
        return None
    share = max(shares[name] for name in deployments if name in shares)
    return Split(share=share, new=new, old=((1 << len(deployments)) - 1) & ~new)


def aside_of(split: Split, request: bytes) -> int:
    """The positions that a request goes to only where no other takes it, as bits."""
    return split.old if is_chosen(request.decode(), split.share) else split.new
