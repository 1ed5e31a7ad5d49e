"""What chats and completions have in common: how engines answer them, and how clients are."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType, field

C = TypeVar("C")


class _Cached(Struct):
    cached_tokens: int | None = 0


class _Reasoned(Struct):
    reasoning_tokens: int | None = 0


class Counts(Struct):
    """What an engine used, in whatever part of the shape it said so."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None


def whole(counts: Counts) -> Counts:
    """The same with every field; details that are not known are 0."""
    cached, reasoned = counts.prompt_tokens_details, counts.completion_tokens_details
    return Counts(
        counts.prompt_tokens,
        counts.completion_tokens,
        counts.prompt_tokens + counts.completion_tokens,
        _Cached((cached.cached_tokens or 0) if cached is not None else 0),
        _Reasoned((reasoned.reasoning_tokens or 0) if reasoned is not None else 0),
    )


class Heard(Struct, Generic[C]):
    """A whole reply or an event of an engine, as far as we read it."""

    choices: list[C] = []
    usage: Counts | None = None
    fault: Raw = field(default_factory=Raw, name="error")


class Answer(Struct, kw_only=True):
    """A whole reply as clients get it."""

    id: str
    object: str
    created: int
    model: str
    choices: Sequence[Struct]
    usage: Counts | UnsetType = UNSET
