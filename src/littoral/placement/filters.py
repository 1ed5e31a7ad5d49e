"""Filters: one small function a reason to reject, and the bits that stand for capabilities.

``rank`` is the flattened form of ``FILTERS``; a test holds the two together.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, get_args

from littoral.domain.endpoint import Capability
from littoral.domain.placement import Candidate, Reason, Request
from littoral.domain.reach import RESIDENCIES, Residency

Filter: TypeAlias = Callable[[Request, Candidate], Reason | None]

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)
_BITS: Final[dict[Capability, int]] = {name: 1 << at for at, name in enumerate(CAPABILITIES)}

RESIDENCE: Final = 1 << 24
"""The least bit that stands for a residency: those of capabilities are below it."""
_SPOTS: Final[dict[Residency, int]] = {name: RESIDENCE << at for at, name in enumerate(RESIDENCIES)}


def residence_mask(residencies: Iterable[Residency]) -> int:
    """Return one bit a residency, joined: what a request needs of a way, or a way has."""
    mask = 0
    for residency in residencies:
        mask |= _SPOTS[residency]
    return mask


def capability_mask(capabilities: Iterable[Capability]) -> int:
    """Return one bit a capability, joined."""
    mask = 0
    for capability in capabilities:
        mask |= _BITS[capability]
    return mask


def leaves_residence(request: Request, candidate: Candidate) -> Reason | None:
    """Reject who is, or whose way leads, where the project's requests may not be."""
    return None if request.residency in candidate.within else "residency"


def is_barred(request: Request, candidate: Candidate) -> Reason | None:
    """Reject whom the request's policy does not allow."""
    return "policy" if candidate.id in request.barred else None


def lacks_capability(request: Request, candidate: Candidate) -> Reason | None:
    """Reject who cannot do what the request needs."""
    return None if request.needs <= candidate.capabilities else "capability"


def exceeds_context(request: Request, candidate: Candidate) -> Reason | None:
    """Reject whose context is too short; a context of 0 is unknown and passes."""
    needed = request.tokens_in + request.tokens_out
    return "context" if 0 < candidate.context < needed else None


def is_unready(_request: Request, candidate: Candidate) -> Reason | None:
    """Reject who does not answer now."""
    return None if candidate.ready else "unready"


FILTERS: Final[tuple[Filter, ...]] = (
    is_barred,
    leaves_residence,
    lacks_capability,
    exceeds_context,
    is_unready,
)
"""In the order of ``Reason``; the deadline, which needs a prediction, comes after them."""


def first_reason(
    request: Request, candidate: Candidate, filters: Sequence[Filter] = FILTERS
) -> Reason | None:
    """Return why a candidate is rejected, by the first filter that does, or None."""
    for check in filters:
        reason = check(request, candidate)
        if reason is not None:
            return reason
    return None
