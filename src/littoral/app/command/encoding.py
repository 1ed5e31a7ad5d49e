"""Records as plain JSON values, secrets included only where the record shows them."""

from typing import TypeVar, cast

import msgspec

T = TypeVar("T")


def plain(record: object) -> object:
    """The JSON form of a record, or of a list of records."""
    return cast("object", msgspec.to_builtins(record))


def recorded(data: bytes, record: type[T]) -> tuple[T, ...]:
    """The records of a JSON list in a file of ours; none where it cannot be read."""
    try:
        return msgspec.json.decode(data, type=tuple[record, ...])
    except msgspec.DecodeError:
        return ()
