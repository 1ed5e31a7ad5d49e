"""Pairing: which request is audited, and whether the other deployment, or a judge, may see it.

An audit is one more request like the one that was served: what that one needed of its way, this one
needs, too, and nobody hears of it who could not have served the request itself.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from littoral.domain.audit import Standing
from littoral.domain.policy import Audits
from littoral.domain.rollout import NEXT
from littoral.placement.filters import RESIDENCE

_SALT: Final = b"audit"


class Seat(NamedTuple):
    """A place as far as is looked at here; ``mask`` has its capabilities and residencies, as bits.

    ``barred`` is whether the policy does not list its deployment.
    """

    deployment: str
    ready: bool
    mask: int
    barred: bool = False


def drawn(request: bytes) -> float:
    """Return what was drawn for a request, 0 to below 1: always the same for one id.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    digest = hashlib.blake2b(request, digest_size=8, person=_SALT).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def may_be(standing: Standing | None, chance: float) -> bool:
    """Return whether a request may be audited, whoever is to serve it.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    return standing is not None and chance < max(standing.cheap, standing.dear)


def picked(standing: Standing, *, cheap: bool, chance: float) -> float | None:
    """Return with which probability a request was picked, None where it was not.

    Args:
        standing: Of its policy.
        cheap: Whether the candidate served it.
        chance: From ``drawn``.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    probability = standing.cheap if cheap else standing.dear
    return probability if chance < probability else None


def partner(audits: Audits, served: str) -> str | None:
    """Return which deployment is to be asked, too; None where it was served by neither of both.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    base = served.removesuffix(NEXT)
    pair = {audits.reference: audits.candidate, audits.candidate: audits.reference}
    return pair.get(base)


def seats_of(seats: Sequence[Seat], deployment: str, *, needs: int) -> list[int]:
    """Return the positions at which a deployment may see a request, in order.

    Args:
        seats: All places.
        deployment: Whose places are wanted.
        needs: What the request needs, capabilities and residencies, as bits.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    return [
        at
        for at, seat in enumerate(seats)
        if seat.deployment == deployment
        and seat.ready
        and not seat.barred
        and not needs & ~seat.mask
    ]


def residence(needs: int) -> int:
    """Return those of the needs that say where a request may be: what a judge must keep, too.

    Checked by: tests/unit/placement/test_pairing.py.
    """
    return needs & ~(RESIDENCE - 1)
