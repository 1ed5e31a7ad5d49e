"""Orders to run a release: signed by control for one node, checked before they are obeyed."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final, cast

from littoral.domain.errors import Damaged, InvalidInput
from littoral.domain.ids import DIGEST, Digest, NodeId
from littoral.domain.release import (
    MOST_WHEELS,
    Order,
    Release,
    WheelFile,
    checked_version,
    name_of,
)
from littoral.domain.units import Bytes, Seconds
from littoral.trust import signature

KIND: Final = "littoral-release"
LEAST_S: Final = 5.0
MOST_S: Final = 3600.0


def sign(order: Order, *, seed: bytes) -> bytes:
    """Sign an order with control's key.

    Checked by: tests/unit/trust/test_release.py.
    """
    return signature.sign(json.dumps(asdict(order)).encode(), seed=seed, kind=KIND)


def accept(token: bytes, *, node: NodeId, keys: Mapping[str, bytes]) -> Order:
    """The order, if one of ``keys`` signed it for this node and it can be obeyed.

    Args:
        token: As it came.
        node: Who we are.
        keys: Public keys by their ids.

    Raises:
        Damaged: Forged, for another node, or not to be understood.

    Checked by: tests/unit/trust/test_release.py.
    """
    payload = signature.verify(token, keys, kind=KIND)
    try:
        order = _order(cast("dict[str, object]", json.loads(payload)))
    except (ValueError, KeyError, TypeError, InvalidInput) as error:
        raise Damaged(f"{KIND}: it was signed and makes no sense: {error}") from error
    if order.node != node:
        raise Damaged(f"{KIND}: it is for {order.node:.40}, and this is {node}")
    return order


def _order(told: Mapping[str, object]) -> Order:
    release = cast("Mapping[str, object]", told["release"])
    wheels = cast("list[Mapping[str, object]]", release["wheels"])
    within = cast("float", told["within_s"])
    if len(wheels) > MOST_WHEELS or not LEAST_S <= within <= MOST_S:
        raise InvalidInput(f"{len(wheels)} wheels, {within} s")
    return Order(
        node=NodeId(str(told["node"])),
        number=int(cast("int", told["number"])),
        release=Release(
            version=checked_version(str(release["version"])),
            wheels=tuple(map(_wheel, wheels)),
            requires=checked_version(str(release["requires"])),
        ),
        within_s=Seconds(float(within)),
    )


def _wheel(told: Mapping[str, object]) -> WheelFile:
    name, digest, size = str(told["name"]), str(told["digest"]), cast("int", told["size"])
    name_of(name)
    if DIGEST.fullmatch(digest) is None:
        raise InvalidInput(f"{digest:.80!r} is no digest")
    return WheelFile(name=name, digest=Digest(digest), size=Bytes(int(size)))
