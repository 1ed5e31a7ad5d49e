"""Guard: whether a request is within what its project allows, and its text without what is not."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec
from msgspec import Raw, Struct

from littoral.domain.errors import Denied, InvalidInput
from littoral.domain.guard import PERSONAL, Guard, Personal
from littoral.gateway.asked import Asked
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import Chat
from littoral.trust.redaction import redact

_OURS: Final = frozenset({"model", "logit_bias"})
"""Fields of a body that hold no text of a user's; every other one is searched."""
_EXACT: Final = frozenset({"stop", "grammar", "tool_choice"})
"""Fields that mean something else with a part replaced: with personal data they may not leave."""
_IDS: Final = frozenset({"prompt", "input", "tokens"})
"""Fields that may hold ids of tokens in the place of a text."""
_KEPT: Final = frozenset({"role", "type", "id", "tool_call_id"})
"""Fields within those that are no text of a user's."""
_UNSEARCHABLE: Final = frozenset({"image_url", "input_audio", "file", "video_url", "audio_url"})
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder().decode


class Unsearchable(ValueError):
    """A part of a body cannot be searched: an image, sound, a file, the ids of tokens."""


class _Function(Struct):
    name: str = ""


class _Tool(Struct):
    function: _Function | None = None
    type: str = "function"


_TOOL = msgspec.json.Decoder(_Tool).decode


def screen(guard: Guard, asked: Asked, tokens_in: int) -> Refusal | None:
    """Refuse what the project does not allow; cut the wish for tokens to what it does.

    Args:
        guard: The project's.
        asked: The request; its ``cap`` may be lowered.
        tokens_in: Estimated tokens of its input.
    """
    if guard.strict and asked.ignored:
        names = ", ".join(asked.ignored)
        message = f"this project refuses fields that are not known: {names}"
        return refuse(InvalidInput, message, param=asked.ignored[0])
    if guard.max_input_tokens is not None and tokens_in > guard.max_input_tokens:
        most = guard.max_input_tokens
        message = f"about {tokens_in} tokens of input; this project allows {most} in one request"
        return refuse(Denied, message)
    if guard.max_output_tokens is not None:
        wish, most = asked.cap, guard.max_output_tokens
        asked.cap = most if wish is None else min(wish, most)
    return _tools(guard.tools, asked) if guard.tools else None


def _tools(allowed: Sequence[str], asked: Asked) -> Refusal | None:
    body = asked.body
    for at, raw in enumerate((body.tools or ()) if isinstance(body, Chat) else ()):
        name = _name(raw)
        if not any(_fits(name, pattern) for pattern in allowed):
            known = ", ".join(allowed)
            message = f"this project does not allow the tool {name!r}; it allows: {known}"
            return refuse(Denied, message, param=f"tools[{at}]")
    return None


def _name(raw: Raw) -> str:
    try:
        tool = _TOOL(raw)
    except msgspec.MsgspecError:
        return ""
    return tool.function.name if tool.function is not None else tool.type


def _fits(name: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def mask_of(kinds: Iterable[Personal]) -> int:
    """One bit a kind, for who redacts elsewhere."""
    return sum(1 << PERSONAL.index(kind) for kind in set(kinds))


def redacted(data: bytes, mask: int) -> bytes:
    """Redact the texts of an encoded body.

    Args:
        data: JSON, as an engine is to get it.
        mask: Kinds, from ``mask_of``.

    Raises:
        Unsearchable: It has an image, sound, a file, or ids of tokens where a text might be; or
            personal data where another text would mean something else.
    """
    kinds: list[Personal] = [kind for at, kind in enumerate(PERSONAL) if mask >> at & 1]
    try:
        body = cast("object", _DECODE(data))
    except msgspec.DecodeError as error:
        raise Unsearchable("it has a file, which cannot be searched") from error
    if not isinstance(body, dict):
        raise Unsearchable("it is no JSON object")
    fields = cast("dict[str, object]", body)
    for name in fields.keys() - _OURS:
        found, fields[name] = fields[name], _clean(fields[name], kinds, within=name)
        if name in _EXACT and fields[name] != found:
            raise Unsearchable(f"its {name} has personal data, which cannot be replaced there")
    return _ENCODE(fields)


def _clean(value: object, kinds: Sequence[Personal], *, within: str) -> object:
    match value:
        case str():
            return redact(value, kinds)
        case dict():
            fields = cast("dict[str, object]", value)
            for name in _UNSEARCHABLE & fields.keys():
                raise Unsearchable(f"it has {name}, which cannot be searched")
            return {
                name: each if name in _KEPT else _clean(each, kinds, within=name)
                for name, each in fields.items()
            }
        case list():
            several = cast("list[object]", value)
            if within in _IDS and any(isinstance(each, int) for each in several):
                raise Unsearchable("it has ids of tokens, which cannot be searched")
            return [_clean(each, kinds, within=within) for each in several]
        case _:
            return value
