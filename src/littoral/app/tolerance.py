"""Tolerance: what a build of another version wrote, read entry by entry.

In parts of snapshots a value outside a closed set that this build knows makes that one entry
unusable, and its name is kept; it does not cost a node the whole snapshot. A beat of a newer node
is a sign of life whatever it says: what cannot be read of its status is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Endpoint
from littoral.domain.limits import Limits
from littoral.domain.node import NodeStatus, Speed
from littoral.domain.prior import FleetPrior, PriorsPart
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.reach import Spot
from littoral.domain.rollout import Exam
from littoral.domain.session import Beat, Frame
from littoral.domain.snapshot import DeploymentsPart, KeysPart, LimitsPart, PoliciesPart
from littoral.domain.traffic import TrafficGrant

TOLERANT: Final[Mapping[type[Frame], Mapping[str, tuple[type, str]]]] = {
    KeysPart: {"keys": (KeyGrant, "id")},
    DeploymentsPart: {"assignments": (Assignment, "name"), "exams": (Exam, "run")},
    PoliciesPart: {
        "traffic": (TrafficGrant, "project"),
        "keeping": (Keeping, ""),
        "neighbours": (Spot, ""),
    },
    LimitsPart: {"limits": (Limits, "")},
    PriorsPart: {"priors": (FleetPrior, "")},
}
"""Of each part its fields of many entries: what an entry is, and which of its fields names it.

Where no field does, it is a mapping, and names are its keys.
"""


STATUS: Final[Mapping[str, type]] = {"endpoints": Endpoint, "speeds": Speed}
"""The fields of a node's status that have many entries, and what an entry is."""


def tolerated(record: type[Frame], body: bytes | msgspec.Raw) -> Frame:
    """A part without the entries that this build cannot read; ``unread`` names these.

    Raises:
        msgspec.ValidationError: It is no such part, or an entry that cannot be read has no name.
    """
    plain = msgspec.msgpack.decode(body, type=dict[str, object])
    unread: list[str] = []
    for field, (kind, named) in TOLERANT[record].items():
        given = plain.get(field)
        if isinstance(given, Mapping):
            entries = cast("Mapping[str, object]", given)
            bad = {name for name, entry in entries.items() if not _is_good(entry, kind)}
            plain[field] = {name: each for name, each in entries.items() if name not in bad}
            unread += sorted(bad)
        elif isinstance(given, Sequence) and named:
            rows = cast("Sequence[object]", given)
            unread += _names((each for each in rows if not _is_good(each, kind)), named)
            plain[field] = [each for each in rows if _is_good(each, kind)]
    return msgspec.convert({**plain, "unread": unread}, record)


def beaten(body: bytes | msgspec.Raw) -> Beat:
    """A beat without what this build cannot read of it: engines, speeds, or all of its status.

    Raises:
        msgspec.ValidationError: It is no beat.
    """
    plain = msgspec.msgpack.decode(body, type=dict[str, object])
    given = plain.get("status")
    if isinstance(given, Mapping):
        status = dict(cast("Mapping[str, object]", given))
        for field, kind in STATUS.items():
            rows = status.get(field)
            if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
                entries = cast("Sequence[object]", rows)
                status[field] = [each for each in entries if _is_good(each, kind)]
        if _is_good(status, NodeStatus):
            return msgspec.convert({**plain, "status": status}, Beat)
    return msgspec.convert({**plain, "status": None}, Beat)


def _is_good(entry: object, kind: type) -> bool:
    try:
        msgspec.convert(entry, kind)
    except msgspec.ValidationError:
        return False
    return True


def _names(entries: Iterator[object], named: str) -> Iterator[str]:
    for entry in entries:
        name = cast("Mapping[str, object]", entry).get(named) if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise msgspec.ValidationError("an entry that cannot be read has no name")
        yield name
