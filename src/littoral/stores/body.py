"""What a row of an outbox holds, as bytes: a msgpack array of a record's fields, in their order.

Fields are only ever appended, with defaults: a shorter array is an older record, and what is
beyond the last known field was written by a newer version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TypeAlias, TypeVar, cast

import msgspec

from littoral.domain.audit import Finding, Vote
from littoral.domain.errors import Damaged
from littoral.domain.node import Event
from littoral.domain.outbox import Lane, Note, Rollup, Row, Sample, lane_of
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord

Content: TypeAlias = UsageRecord | Event | Sample | Rollup | Finding | Vote
T = TypeVar("T")
DAMAGED = 0
"""The kind of a row whose body failed its mac: an array of its length alone stands in its place."""
KINDS: Mapping[type[Content], int] = {
    UsageRecord: 1,
    Event: 2,
    Sample: 3,
    Rollup: 4,
    Finding: 5,
    Vote: 6,
}
ROW_FIELDS: Mapping[type[Content], str] = {
    UsageRecord: "usage",
    Event: "event",
    Sample: "sample",
    Rollup: "rollup",
    Finding: "finding",
    Vote: "vote",
}
"""Which field of a row holds it."""
RECORDS: Mapping[int, type[Content]] = {kind: record for record, kind in KINDS.items()}
NAMES = tuple(field.name for field in fields(UsageRecord))
_FIELDS: Mapping[type[Content], tuple[str, ...]] = {
    record: tuple(field.name for field in fields(record)) for record in KINDS
}
_VALUES: Mapping[type[Content], Callable[[Content], tuple[object, ...]]] = {
    record: cast("Callable[[Content], tuple[object, ...]]", attrgetter(*names))
    for record, names in _FIELDS.items()
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[object]).decode


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row that is to be written; ``once`` is unique among all rows, or None."""

    lane: Lane
    kind: int
    at_us: Micros
    body: bytes
    once: str | None = None
    usage: UsageRecord | None = None

    @property
    def cost(self) -> int:
        """Bytes that it takes in the file, about: its texts, and what each row has beside them."""
        return len(self.body) + 2 * len(self.once or "") + 48


def prepared(content: UsageRecord | Note) -> Prepared:
    """Make a record or a note ready to be written."""
    kind, body = KINDS[type(content)], pack(content)
    if isinstance(content, UsageRecord):
        once = f"{content.attempt}/{content.request}"
        return Prepared("ledger", kind, content.at_us, body, once, content)
    return Prepared(lane_of(content), kind, content.at_us, body)


def pack(content: Content) -> bytes:
    """Encode a record."""
    return _encode(_VALUES[type(content)](content))


def unpack(body: object, record: type[T]) -> T:
    """Decode a record.

    Raises:
        Damaged: This is no such record.
    """
    try:
        if not isinstance(body, bytes):
            raise Damaged(f"a row is {type(body).__name__}, not bytes")
        values = _decode(body)
        names = _FIELDS[cast("type[Content]", record)]
        return msgspec.convert(dict(zip(names, values, strict=False)), record)
    except msgspec.MsgspecError as error:
        raise Damaged(f"a row cannot be read: {error}") from error


def row_of(seq: int, kind: int, body: bytes, *, mac: bytes) -> Row:
    """The row as it travels.

    Raises:
        Damaged: Its body cannot be read, or a newer version wrote its kind.
    """
    if kind == DAMAGED:
        return Row(seq=seq, mac=mac, damaged=_length(body))
    record = RECORDS.get(kind)
    if record is None:
        raise Damaged(f"a row is of the kind {kind}, which this version does not know")
    return holding(unpack(body, record), seq=seq, mac=mac)


def holding(content: Content, *, seq: int, mac: bytes = b"") -> Row:
    """The row that holds a record."""
    return Row(seq=seq, mac=mac, **{ROW_FIELDS[type(content)]: content})  # pyright: ignore[reportArgumentType]  each field has its type


def damaged(length: int) -> bytes:
    """The body that stands in for one of that length."""
    return _encode([length])


def _length(body: bytes) -> int:
    values = _decode(body)
    return values[0] if values and isinstance(values[0], int) else 0
