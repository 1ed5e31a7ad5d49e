"""Tolerance: parts of snapshots that a newer control wrote, read entry by entry.

A value outside a closed set that this build knows makes that one entry unusable, and its name is
kept; it does not cost a node the whole snapshot.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from littoral.domain.deployment import Assignment
from littoral.domain.limits import Limits
from littoral.domain.prior import FleetPrior, PriorsPart
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.reach import Spot
from littoral.domain.session import Frame
from littoral.domain.snapshot import DeploymentsPart, KeysPart, LimitsPart, PoliciesPart
from littoral.domain.traffic import TrafficGrant

TOLERANT: Final[Mapping[type[Frame], Mapping[str, tuple[type, str]]]] = {
    KeysPart: {"keys": (KeyGrant, "id")},
    DeploymentsPart: {"assignments": (Assignment, "name")},
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
