"""Decided: why a place was chosen and how many were rejected for what, as one small number.

Four bits say why, and four count the rejections of each reason, in the order of ``Reason``; a
count stays at its most. The orders are part of what is stored: both are only ever appended to.
"""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from littoral.domain.placement import Reason, Why

_WHYS: Final[tuple[Why, ...]] = get_args(Why)
_REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
_BITS: Final = 4
MOST: Final = (1 << _BITS) - 1
"""Rejections of one reason that are told apart."""
_NUMBERS: Final[Mapping[str, int]] = {why: at for at, why in enumerate(_WHYS, 1)}


def decided(why: str, rejected: Sequence[int]) -> int:
    """Return the number of a decision.

    Args:
        why: As a ``Why``; another word counts as unknown.
        rejected: How many were rejected for each ``Reason``, in its order.

    Checked by: tests/unit/domain/test_decided.py.
    """
    number = _NUMBERS.get(why, 0)
    if any(rejected):
        for at, count in enumerate(rejected, 1):
            number |= min(count, MOST) << _BITS * at
    return number


def why_of(number: int) -> Why | None:
    """Return why; None where that is not known.

    Checked by: tests/unit/domain/test_decided.py.
    """
    at = number & MOST
    return _WHYS[at - 1] if 1 <= at <= len(_WHYS) else None


def rejected_of(number: int) -> Mapping[Reason, int]:
    """Return how many were rejected for each reason; those of none are left out.

    Checked by: tests/unit/domain/test_decided.py.
    """
    found: dict[Reason, int] = {}
    for at, reason in enumerate(_REASONS, 1):
        count = number >> _BITS * at & MOST
        if count:
            found[reason] = count
    return found
