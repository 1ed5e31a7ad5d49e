"""Ranking: documents ordered by how well they answer a query, and pairs of texts scored."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias, cast

import msgspec
from msgspec import Meta, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.named import NOTHING_WRITTEN, Named, Text, tokens_of
from littoral.gateway.refusal import Refusal, refuse
from littoral.placement.filters import capability_mask

MOST_DOCUMENTS: Final = 10_000
RERANK: Final = capability_mask(("rerank",))
SCORE: Final = capability_mask(("score",))
_ENCODE = msgspec.json.Encoder().encode

_Most: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
_Texts: TypeAlias = Annotated[list[Text], Meta(min_length=1, max_length=MOST_DOCUMENTS)]


class Document(Struct, omit_defaults=True):
    """A document given as an object: its text is what counts."""

    text: Text


_Documents: TypeAlias = Annotated[
    list[Text | Document], Meta(min_length=1, max_length=MOST_DOCUMENTS)
]


class Rerank(Named, omit_defaults=True, kw_only=True):
    """``POST /v1/rerank`` and ``/v2/rerank``: Jina's, Cohere's and vLLM's fields."""

    query: Text
    documents: _Documents
    top_n: Annotated[int, Meta(ge=0, le=MOST_DOCUMENTS)] | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: _Most | None = None
    instruction: str | None = None


class StrictRerank(Rerank, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


class Score(Named, omit_defaults=True, kw_only=True):
    """``POST /v1/score`` by any of the pairs of names that vLLM knows."""

    text_1: Text | _Texts | None = None
    text_2: Text | _Texts | None = None
    data_1: Text | _Texts | None = None
    data_2: Text | _Texts | None = None
    queries: Text | _Texts | None = None
    documents: Text | _Texts | None = None
    items: Text | _Texts | None = None
    instruction: str | None = None


class StrictScore(Score, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


class Pairs(Named, omit_defaults=True, kw_only=True):
    """What an engine is asked to score: as many texts on either side."""

    text_1: Sequence[str]
    text_2: Sequence[str]
    instruction: str | None = None


_read_rerank = Reader(StrictRerank, Rerank).read
_read_score = Reader(StrictScore, Score).read
_NAMES: Final = (
    ("text_1", "text_2"),
    ("data_1", "data_2"),
    ("queries", "documents"),
    ("queries", "items"),
)


def read_rerank(data: bytes) -> Asked | Refusal:
    """Decode the body of a rerank."""
    found = _read_rerank(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    longest = tokens_of(body.query) + max(tokens_of(text) for text in texts_of(body))
    return Asked(body.model, body, ignored, RERANK, cap=NOTHING_WRITTEN, longest=longest)


def texts_of(body: Rerank) -> Sequence[str]:
    """The documents' texts, in the caller's order."""
    return [each if isinstance(each, str) else each.text for each in body.documents]


def encode_rerank(asked: Asked, model: str, _cap: int) -> bytes:
    """Encode a rerank for an engine: documents as texts, which it need not send back."""
    body: Rerank = asked.body  # pyright: ignore[reportAssignmentType]  ``read_rerank`` makes no other
    fields: dict[str, object] = {"model": model, "query": body.query, "documents": texts_of(body)}
    if body.top_n:
        fields["top_n"] = body.top_n
    if body.max_tokens_per_doc:
        fields["max_tokens_per_doc"] = body.max_tokens_per_doc
    if body.instruction is not None:
        fields["instruction"] = body.instruction
    return _ENCODE(fields)


def read_score(data: bytes) -> Asked | Refusal:
    """Decode the body of a score: one text against many, or as many against as many."""
    found = _read_score(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    sides = _sides(body)
    if isinstance(sides, Refusal):
        return sides
    one, other = sides
    if len(one) not in {1, len(other)}:
        message = f"{len(one)} texts cannot be paired with {len(other)}: give one, or as many"
        return refuse(InvalidInput, message, param="text_1")
    pairs = Pairs(
        model=body.model,
        text_1=list(one) * (len(other) // len(one)),
        text_2=other,
        instruction=body.instruction,
    )
    longest = max(map(tokens_of, one)) + max(map(tokens_of, other))
    return Asked(body.model, pairs, ignored, SCORE, cap=NOTHING_WRITTEN, longest=longest)


def _sides(body: Score) -> tuple[Sequence[str], Sequence[str]] | Refusal:
    given = {name for name in Score.__struct_fields__[1:-1] if getattr(body, name) is not None}
    for names in _NAMES:
        if given == set(names):
            one, other = (_list(body, name) for name in names)
            return one, other
    known = ", or ".join(" and ".join(names) for names in _NAMES)
    return refuse(InvalidInput, f"the texts to score must be {known}", param="text_1")


def _list(body: Score, name: str) -> Sequence[str]:
    value = cast("str | list[str]", getattr(body, name))
    return [value] if isinstance(value, str) else value
