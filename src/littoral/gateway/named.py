"""Named: what bodies of requests have in common: a model, and one way to be encoded anew."""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from littoral.gateway.asked import Asked

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
NOTHING_WRITTEN: Final = 1
"""The cap of what answers with no text of its own; a decision needs at least one token out."""
_ENCODE = msgspec.json.Encoder().encode


class Named(Struct, omit_defaults=True, kw_only=True):
    """A body that names a model."""

    model: Name


def encode(asked: Asked, model: str, _cap: int) -> bytes:
    """Encode a body for an engine that writes no text: the same fields, its name of the model."""
    body: Named = asked.body  # pyright: ignore[reportAssignmentType]  their readers make no other
    body.model = model
    return _ENCODE(body)


def tokens_of(text: str) -> int:
    """Estimate a text's tokens: its UTF-8 bytes divided by four, rounded up."""
    return -(-(len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // 4)
