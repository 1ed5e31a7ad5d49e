"""Bodies of requests: typed and range-checked, and encoded anew for an engine.

What an engine receives is what stands here, and nothing else: of a duplicate key the value that was
checked is the value that is sent, and fields that name other places (``api_base``) never leave.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.refusal import Refusal, refuse
from littoral.placement.filters import capability_mask

MAX_DEPTH: Final = 64
MAX_ITEMS: Final = 10_000
DEFAULT_CAP: Final = 4096
"""Most tokens of an answer where neither caller, deployment nor context bounds it."""

_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
_Cap: TypeAlias = Annotated[int, Meta(ge=1, le=10_000_000)]
_Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
_Seed: TypeAlias = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Stops: TypeAlias = Annotated[list[str], Meta(max_length=16)]
_Objects: TypeAlias = Annotated[list[dict[str, Raw]], Meta(max_length=MAX_ITEMS)]


class StreamOptions(Struct, omit_defaults=True):
    """``stream_options``; obfuscation is accepted and has no effect."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ResponseFormat(Struct, omit_defaults=True):
    """``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Raw = Raw()


class Message(Struct, omit_defaults=True):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Raw = Raw()
    name: str | None = None
    tool_calls: _Objects | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    function_call: Raw = Raw()


class StrictMessage(Message, forbid_unknown_fields=True):
    """A message of known fields only."""


class Body(Struct, omit_defaults=True, kw_only=True):
    """What chats and completions have in common."""

    model: _Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _Cap | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | _Stops | None = None
    seed: _Seed | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    logit_bias: Annotated[dict[str, float], Meta(max_length=1024)] | None = None
    response_format: ResponseFormat | None = None


class Chat(Body, omit_defaults=True, kw_only=True):
    """``POST /v1/chat/completions``."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_ITEMS)]
    max_completion_tokens: _Cap | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Raw], Meta(max_length=1024)] | None = None
    tool_choice: Raw = Raw()
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: Raw = Raw()


class StrictChat(Chat, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A chat of known fields only: the warm path's first try."""

    messages: Annotated[list[StrictMessage], Meta(min_length=1, max_length=MAX_ITEMS)]  # pyright: ignore[reportIncompatibleVariableOverride]  same fields, narrower reading


class Completion(Body, omit_defaults=True, kw_only=True):
    """``POST /v1/completions``."""

    prompt: str | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=1_000_000)]
    suffix: str | None = None
    echo: bool | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class StrictCompletion(Completion, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A completion of known fields only."""


Wanted: TypeAlias = Chat | Completion
_ENCODE = msgspec.json.Encoder().encode
_STRICT_CHAT = msgspec.json.Decoder(StrictChat).decode
_LOOSE_CHAT = msgspec.json.Decoder(Chat).decode
_STRICT_COMPLETION = msgspec.json.Decoder(StrictCompletion).decode
_LOOSE_COMPLETION = msgspec.json.Decoder(Completion).decode
_FIELDS = msgspec.json.Decoder(dict[str, Raw]).decode
_MESSAGES = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_ANYTHING = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")

CHAT = capability_mask(("chat",))
COMPLETIONS = capability_mask(("completions",))
_STREAM = capability_mask(("stream",))
_TOOLS = capability_mask(("tools",))
_SCHEMA = capability_mask(("json_schema",))
_LOGPROBS = capability_mask(("logprobs",))
_CHOICES = capability_mask(("many_choices",))


class Asked(Struct, gc=False):
    """A decoded request: its body, the fields that were dropped, and what it needs."""

    body: Wanted
    ignored: Sequence[str]
    needs: int
    streamed: bool
    wants_usage: bool


def read(data: bytes, *, chat: bool) -> Asked | Refusal:
    """Decode a body.

    Args:
        data: The whole body.
        chat: Whether it is a chat, else a completion.

    Returns:
        The request; or a refusal with the path of the field that is wrong in ``param``.
    """
    wrong = _damage(data)
    if wrong is not None:
        return wrong
    try:
        body: Wanted = _STRICT_CHAT(data) if chat else _STRICT_COMPLETION(data)
    except msgspec.ValidationError:
        return _read_loosely(data, chat=chat)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _refusal_of(error)
    return _asked(body, ())


def encode(body: Wanted, *, model: str, cap: int) -> bytes:
    """Encode a body for an engine, under the engine's model name and with a cap on tokens.

    Usage is always asked for on streams: what was used is what is billed.
    """
    body.model = model
    if isinstance(body, Chat) and body.max_completion_tokens is not None:
        body.max_completion_tokens = cap
        body.max_tokens = None
    else:
        body.max_tokens = cap
    if body.stream:
        body.stream_options = _WITH_USAGE
    return _ENCODE(body)


def cap_of(body: Wanted, *, most: int | None, context: int, tokens_in: int) -> int:
    """Return the most tokens an answer may have: the caller's wish within the deployment's cap."""
    wish = body.max_tokens
    if isinstance(body, Chat) and body.max_completion_tokens is not None:
        wish = body.max_completion_tokens
    if wish is not None:
        return wish if most is None or wish < most else most
    if most is not None:
        return most
    return max(context - tokens_in, context // 4, 1) if context else DEFAULT_CAP


_WITH_USAGE = StreamOptions(include_usage=True)


def _asked(body: Wanted, ignored: Sequence[str]) -> Asked:
    streamed = body.stream is True
    needs = CHAT if isinstance(body, Chat) else COMPLETIONS
    if streamed:
        needs |= _STREAM
    if (body.n is not None and body.n > 1) or _is_many(body):
        needs |= _CHOICES
    if body.response_format is not None and body.response_format.type == "json_schema":
        needs |= _SCHEMA
    if body.logprobs:
        needs |= _LOGPROBS
    if isinstance(body, Chat) and body.tools:
        needs |= _TOOLS
    options = body.stream_options
    return Asked(
        body, ignored, needs, streamed, options is not None and bool(options.include_usage)
    )


def _is_many(body: Wanted) -> bool:
    """Whether a completion has several prompts, each of which gets a choice of its own."""
    prompt = "" if isinstance(body, Chat) else body.prompt
    return isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)


def _damage(data: bytes) -> Refusal | None:
    """What the decoder lets pass inside raw values: bad UTF-8, lone surrogates, great depth."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return refuse(InvalidInput, f"the body is not UTF-8 at byte {error.start}")
    if b"\\u" in data and (b"\\ud" in data or b"\\uD" in data):
        try:
            _ANYTHING(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refusal_of(error)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and too_deep(data):
        return refuse(InvalidInput, f"the body is nested deeper than {MAX_DEPTH} levels")
    return None


def too_deep(data: bytes) -> bool:
    """Whether JSON has more than ``MAX_DEPTH`` levels; malformed JSON may answer either way."""
    rest = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = rest.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return rest != b""


def _read_loosely(data: bytes, *, chat: bool) -> Asked | Refusal:
    """Decode once more, dropping unknown fields; their names go into the answer's head."""
    try:
        body: Wanted = _LOOSE_CHAT(data) if chat else _LOOSE_COMPLETION(data)
        fields = _FIELDS(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _refusal_of(error)
    known = body.__struct_fields__
    ignored = [name for name in fields if name not in known]
    if chat:
        inner = {name for message in _MESSAGES(fields["messages"]) for name in message}
        ignored += [f"messages[].{name}" for name in sorted(inner - _MESSAGE_FIELDS)]
    return _asked(body, ignored)


_MESSAGE_FIELDS = frozenset(Message.__struct_fields__)


def _refusal_of(error: Exception) -> Refusal:
    text = "the body is nested too deeply" if isinstance(error, RecursionError) else str(error)
    path, missing = _PATH.search(text), _MISSING.search(text)
    where = path[1] if path else ""
    if missing:
        where = f"{where}.{missing[1]}" if where else missing[1]
    return refuse(InvalidInput, f"cannot read the body: {text}", param=where or None)
