"""Embeddings: texts or token ids in, one vector each out."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.named import NOTHING_WRITTEN, Named, Text, tokens_of
from littoral.gateway.refusal import Refusal, refuse
from littoral.placement.filters import capability_mask

MOST_INPUTS: Final = 2048
MOST_IDS: Final = 300_000
EMBEDDINGS: Final = capability_mask(("embeddings",))

_Id: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
_Ids: TypeAlias = Annotated[list[_Id], Meta(min_length=1, max_length=MOST_IDS)]
_Inputs: TypeAlias = Annotated[list[Text | _Id | _Ids], Meta(min_length=1, max_length=MOST_IDS)]


class Embedding(Named, omit_defaults=True, kw_only=True):
    """``POST /v1/embeddings``."""

    input: Text | _Inputs
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: str | None = None


class StrictEmbedding(Embedding, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


_read = Reader(StrictEmbedding, Embedding).read


def read_embedding(data: bytes) -> Asked | Refusal:
    """Decode a body; one list holds texts, or token ids, or lists of token ids, and no mixture."""
    return embedding_asked(data, ())


def embedding_asked(
    data: bytes, dropped: Sequence[str], *, origin: Struct | None = None
) -> Asked | Refusal:
    """Decode a body, whichever dialect it came in.

    Args:
        data: In OpenAI's shape.
        dropped: Fields of the caller's that are not in it.
        origin: The request as its own dialect has it.
    """
    found = _read(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    body.user = None
    given = body.input
    longest = tokens_of(given) if isinstance(given, str) else _longest(given)
    if isinstance(longest, Refusal):
        return longest
    asked = Asked(body.model, body, [*dropped, *ignored], EMBEDDINGS, cap=NOTHING_WRITTEN)
    asked.longest, asked.origin = max(longest, 1), origin
    return asked


def _longest(given: Sequence[str | int | Sequence[int]]) -> int | Refusal:
    """Tokens of the longest input of a list."""
    kinds = {type(each) for each in given}
    if len(kinds) > 1:
        message = "input must be texts, or token ids, or lists of token ids: not a mixture"
        return refuse(InvalidInput, message, param="input")
    if kinds == {int}:
        return len(given)
    if len(given) > MOST_INPUTS:
        message = f"input has {len(given)} entries; at most {MOST_INPUTS} are allowed"
        return refuse(InvalidInput, message, param="input")
    return max(tokens_of(each) if isinstance(each, str) else len(each) for each in _sized(given))


def _sized(given: Sequence[str | int | Sequence[int]]) -> Sequence[str | Sequence[int]]:
    return [each for each in given if not isinstance(each, int)]
