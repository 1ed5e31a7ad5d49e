"""Tally: what an engine's reply says of itself: tokens used, or what went wrong."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

_Count = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class Usage(Struct, gc=False):
    """Tokens as the engine counted them."""

    tokens_in: int
    cached: int
    tokens_out: int


class _Details(Struct):
    cached_tokens: _Count | None = None


class _Usage(Struct):
    """By either of the names in use for the same counts."""

    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None
    input_tokens: _Count = 0
    output_tokens: _Count = 0


class _Fault(Struct):
    message: str = ""


class _Reply(Struct):
    usage: _Usage | None = None
    error: _Fault | str | None = None


_DECODE = msgspec.json.Decoder(_Reply).decode


class Whole(Struct, gc=False):
    """A reply that is not streamed, as far as we read it."""

    usage: Usage | None
    fault: str


def whole(data: bytes) -> Whole | None:
    """Read a reply's usage, or its error message; None where it is no JSON object."""
    try:
        reply = _DECODE(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    used, error = reply.usage, reply.error
    usage = _usage(used) if used is not None else None
    if error is None:
        return Whole(usage, "")
    return Whole(usage, error.message if isinstance(error, _Fault) else error)


def _usage(used: _Usage) -> Usage:
    details = used.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    tokens_in = used.prompt_tokens or used.input_tokens
    return Usage(tokens_in, cached, used.completion_tokens or used.output_tokens)
