"""UsageRecord as an outbox keeps it: a msgpack array of its fields, in their order.

Fields are only ever appended, with defaults: a shorter array is an older record, and what is
beyond the last known field was written by a newer version.
"""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import cast

import msgspec

from littoral.domain.errors import Damaged
from littoral.domain.usage import UsageRecord

NAMES = tuple(field.name for field in fields(UsageRecord))
_values = cast("Callable[[UsageRecord], tuple[object, ...]]", attrgetter(*NAMES))
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[object]).decode


def pack(record: UsageRecord) -> bytes:
    """Encode a record."""
    return _encode(_values(record))


def unpack(body: object) -> UsageRecord:
    """Decode a record.

    Raises:
        Damaged: This is no record.
    """
    try:
        if not isinstance(body, bytes):
            raise Damaged(f"a usage record is {type(body).__name__}, not bytes")
        values = _decode(body)
        return msgspec.convert(dict(zip(NAMES, values, strict=False)), UsageRecord)
    except msgspec.MsgspecError as error:
        raise Damaged(f"a usage record cannot be read: {error}") from error


def readable(body: object) -> bool:
    """Whether ``unpack`` would give a record."""
    try:
        unpack(body)
    except Damaged:
        return False
    return True
