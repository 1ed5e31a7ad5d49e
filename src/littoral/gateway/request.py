"""Bodies of requests: typed and range-checked, and encoded anew for an engine.

What an engine receives is what stands here, and nothing else: of a duplicate key the value that was
checked is the value that is sent, and fields that name other places (``api_base``) never leave.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.refusal import Refusal, refuse
from littoral.placement.filters import capability_mask

MAX_ITEMS: Final = 10_000

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


class Adapter(Struct):
    """One adapter to answer with, by the engine's number of it, and how strongly."""

    id: Annotated[int, Meta(ge=0, le=1024)]
    scale: Annotated[float, Meta(ge=-100, le=100)]


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
    grammar: Annotated[str, Meta(min_length=1, max_length=65_536)] | None = None
    lora: Annotated[list[Adapter], Meta(max_length=64)] | None = None


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
_MESSAGES = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_MESSAGE_FIELDS = frozenset(Message.__struct_fields__)

CHAT = capability_mask(("chat",))
COMPLETIONS = capability_mask(("completions",))
_STREAM = capability_mask(("stream",))
_TOOLS = capability_mask(("tools",))
_SCHEMA = capability_mask(("json_schema",))
_LOGPROBS = capability_mask(("logprobs",))
_CHOICES = capability_mask(("many_choices",))
_GRAMMAR = capability_mask(("grammar",))
_LORA = capability_mask(("lora",))
_WITH_USAGE = StreamOptions(include_usage=True)


UNSERVED: Final = {
    "functions": "functions are not served; send them as tools",
    "function_call": "function_call is not served; send tool_choice",
    "audio": "answers in sound are not served; ask /v1/audio/speech",
    "moderation": "a chat is not moderated on its way; ask /v1/moderations",
}
"""Fields of OpenAI's that no engine gets, and that may not be left out silently."""
_NULL: Final = Raw(b"null")


def _unknown(fields: dict[str, Raw]) -> Sequence[str] | Refusal:
    for name, why in UNSERVED.items():
        if fields.get(name, _NULL) != _NULL:
            return refuse(InvalidInput, why, param=name)
    if b'"audio"' in bytes(fields.get("modalities", _NULL)):
        return refuse(InvalidInput, UNSERVED["audio"], param="modalities")
    inner = {name for message in _MESSAGES(fields["messages"]) for name in message}
    return [f"messages[].{name}" for name in sorted(inner - _MESSAGE_FIELDS)]


_read_chat = Reader(StrictChat, Chat, _unknown).read
_read_completion = Reader(StrictCompletion, Completion).read


def read_chat(data: bytes) -> Asked | Refusal:
    """Decode the body of a chat; a refusal has the path of the field that is wrong."""
    found = _read_chat(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    return chat_asked(body, ignored)


def read_completion(data: bytes) -> Asked | Refusal:
    """Decode the body of a completion; a refusal has the path of the field that is wrong."""
    found = _read_completion(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    prompt = body.prompt
    several = isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)
    needs = COMPLETIONS | _CHOICES if several else COMPLETIONS
    choices = len(prompt) if several else 1
    return _asked(body, ignored, needs, cap=body.max_tokens, prompts=choices)


def chat_asked(body: Chat, ignored: Sequence[str]) -> Asked:
    """Say what a chat needs, whichever dialect it came in."""
    cap = body.max_completion_tokens
    needs = CHAT | _TOOLS if body.tools else CHAT
    return _asked(body, ignored, needs, cap=body.max_tokens if cap is None else cap)


def encode(asked: Asked, model: str, cap: int) -> bytes:
    """Encode a chat or completion for an engine.

    Usage is always asked for on streams: what was used is what is billed.

    Args:
        asked: From ``read_chat``, ``read_completion`` or ``chat_asked``.
        model: The engine's name of the model.
        cap: Most tokens of one choice.
    """
    body: Wanted = asked.body  # pyright: ignore[reportAssignmentType]  these readers make no other
    body.model = model
    if isinstance(body, Chat) and body.max_completion_tokens is not None:
        body.max_completion_tokens = cap
        body.max_tokens = None
    else:
        body.max_tokens = cap
    if body.stream:
        body.stream_options = _WITH_USAGE
    return _ENCODE(body)


def _asked(
    body: Wanted, ignored: Sequence[str], needs: int, *, cap: int | None, prompts: int = 1
) -> Asked:
    streamed = body.stream is True
    if streamed:
        needs |= _STREAM
    choices = prompts
    if body.n is not None:
        choices *= body.n
        if choices > prompts:
            needs |= _CHOICES
    if body.response_format is not None and body.response_format.type == "json_schema":
        needs |= _SCHEMA
    if body.logprobs:
        needs |= _LOGPROBS
    if body.grammar is not None:
        needs |= _GRAMMAR
    if body.lora:
        needs |= _LORA
    options = body.stream_options
    wants_usage = options is not None and options.include_usage is True
    return Asked(body.model, body, ignored, needs, streamed, wants_usage, cap, choices)
