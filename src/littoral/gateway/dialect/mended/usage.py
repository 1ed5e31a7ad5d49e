"""Usage in OpenAI's complete shape."""

from msgspec import Struct


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
