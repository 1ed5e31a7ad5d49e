"""Records as plain JSON values, secrets included only where the record shows them."""

from typing import cast

import msgspec


def plain(record: object) -> object:
    """The JSON form of a record, or of a list of records."""
    return cast("object", msgspec.to_builtins(record))
