"""Bodies of Ollama's requests, typed and range-checked."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw, Struct, field

from littoral.gateway.named import Named
from littoral.gateway.request import MAX_ITEMS

_Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
_Stops: TypeAlias = Annotated[list[str], Meta(max_length=16)]
_Images: TypeAlias = Annotated[list[str], Meta(max_length=64)]


class Options(Struct, kw_only=True):
    """``options``, as far as they mean the same to every engine.

    ``num_predict`` of -1 and -2 is no bound of the caller's.
    """

    num_predict: Annotated[int, Meta(ge=-2, le=10_000_000)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    stop: str | _Stops | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None


class Function(Struct):
    """What a call names, and its arguments."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    given: dict[str, Raw] = field(default_factory=dict[str, Raw], name="arguments")


class Call(Struct):
    """A call that the model made."""

    function: Function
    id: str | None = None


class Turn(Struct):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: _Images | None = None
    tool_calls: Annotated[list[Call], Meta(max_length=1024)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Tool(Struct):
    """A tool that may be called."""

    function: dict[str, Raw]
    type: Literal["function"] = "function"


class Generation(Named, omit_defaults=True, kw_only=True):
    """What chats and generations have in common; ``keep_alive`` has no effect."""

    stream: bool | None = None
    format: str | dict[str, Raw] | None = None
    options: Options | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    keep_alive: Raw = Raw()


class Chat(Generation, omit_defaults=True, kw_only=True):
    """``POST /api/chat``."""

    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_ITEMS)]
    tools: Annotated[list[Tool], Meta(max_length=1024)] | None = None


class StrictChat(Chat, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A chat of known fields only."""


class Generate(Generation, omit_defaults=True, kw_only=True):
    """``POST /api/generate``."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    images: _Images | None = None
    raw: bool | None = None
    suffix: str | None = None


class StrictGenerate(Generate, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A generation of known fields only."""


class Embed(Named, omit_defaults=True, kw_only=True):
    """``POST /api/embed``; ``truncate`` and ``keep_alive`` have no effect."""

    input: Raw
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    truncate: bool | None = None
    keep_alive: Raw = Raw()


class StrictEmbed(Embed, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


class OldEmbed(Named, omit_defaults=True, kw_only=True):
    """``POST /api/embeddings``, which ``/api/embed`` replaced."""

    prompt: Annotated[str, Meta(min_length=1)]
    keep_alive: Raw = Raw()


class StrictOldEmbed(OldEmbed, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""
