"""Wish: the body of a response's request, typed, range-checked, and what is not served refused."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.body import Reader
from littoral.gateway.refusal import Refusal, refuse

MAX_ITEMS: Final = 10_000
NULL: Final = Raw(b"null")

_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
_Cap: TypeAlias = Annotated[int, Meta(ge=1, le=10_000_000)]
_Short: TypeAlias = Annotated[str, Meta(max_length=512)]
_Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Pairs: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


class Part(Struct, omit_defaults=True, kw_only=True):
    """One part of a content, of any type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    annotations: Raw = Raw()


Content: TypeAlias = str | list[Part]


class Item(Struct, omit_defaults=True, kw_only=True):
    """One item of the input, of any type; a message may leave its type out."""

    type: str | None = None
    id: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Content | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Content | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None


class Tool(Struct, omit_defaults=True, kw_only=True):
    """One tool, of any type; a namespace has tools inside."""

    type: str
    name: _Name | None = None
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None
    format: Raw = NULL
    tools: "list[Tool] | None" = None


class Named(Struct, omit_defaults=True):
    """A tool by type and name."""

    type: str
    name: str | None = None


class Choice(Struct, omit_defaults=True):
    """``tool_choice`` where it is an object."""

    type: str
    name: str | None = None
    mode: Literal["none", "auto", "required"] = "auto"
    tools: list[Named] | None = None


class Format(Struct, omit_defaults=True):
    """``text.format``."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class Text(Struct, omit_defaults=True):
    """``text``."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Struct, omit_defaults=True):
    """``reasoning``."""

    effort: Annotated[str, Meta(max_length=32)] | None = None
    summary: Literal["auto", "concise", "detailed", "none"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(Struct):
    """``stream_options``; obfuscation is accepted and has no effect."""

    include_obfuscation: bool | None = None


class Wish(Struct, omit_defaults=True, kw_only=True):
    """``POST /v1/responses``."""

    model: _Name
    input: str | Annotated[list[Item], Meta(max_length=MAX_ITEMS)] | None = None
    instructions: str | None = None
    previous_response_id: _Id | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Meta(max_length=1024)] | None = None
    tool_choice: Literal["none", "auto", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: _Cap | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: Annotated[list[_Short], Meta(max_length=64)] | None = None
    metadata: Pairs | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: Annotated[str, Meta(max_length=32)] | None = None
    user: _Short | None = None
    safety_identifier: _Short | None = None
    prompt_cache_key: _Short | None = None
    prompt_cache_retention: _Short | None = None
    conversation: Raw = NULL
    prompt: Raw = NULL


class StrictWish(Wish, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A wish of known fields only."""


class Origin(Struct):
    """A wish, and what of it is older than the request where it runs later than it was asked.

    Args:
        wish: As read.
        name: What ids are made of; ``""`` for the request's own id.
        created_s: When it was asked, UTC seconds; 0 for the request's own time.
    """

    wish: Wish
    name: str = ""
    created_s: int = 0


_read = Reader(StrictWish, Wish).read
LOGPROBS: Final = "message.output_text.logprobs"


def read(data: bytes) -> tuple[Wish, list[str]] | Refusal:
    """Decode a body.

    Returns:
        It and the names of what has no effect; or a refusal with the path of what is wrong.
    """
    found = _read(data)
    if isinstance(found, Refusal):
        return found
    wish, unknown = found
    refusal = _unserved(wish)
    if refusal is not None:
        return refusal
    ignored = list(unknown)
    if wish.truncation == "auto":
        ignored.append("truncation")
    if wish.max_tool_calls is not None:
        ignored.append("max_tool_calls")
    if wish.text is not None and wish.text.verbosity is not None:
        ignored.append("text.verbosity")
    return wish, ignored


def _unserved(wish: Wish) -> Refusal | None:
    """What is a good request elsewhere and cannot be one here."""
    if wish.conversation != NULL:
        return refuse(
            InvalidInput,
            "conversations are not served; continue a stored response by previous_response_id",
            param="conversation",
        )
    if wish.prompt != NULL:
        message = "prompt templates are not served; send instructions and input"
        return refuse(InvalidInput, message, param="prompt")
    if wish.background and wish.store is False:
        message = "a response in the background is kept until it is fetched: store must be true"
        return refuse(InvalidInput, message, param="store")
    if wish.input is None and wish.previous_response_id is None:
        return refuse(InvalidInput, "input is missing: a text or a list of items", param="input")
    if wish.input == [] and wish.previous_response_id is None:
        return refuse(InvalidInput, "input is empty: at least one item is needed", param="input")
    return None
