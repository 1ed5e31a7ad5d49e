"""Bodies of Anthropic's requests, typed and range-checked."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

from littoral.gateway.request import MAX_ITEMS

Media: TypeAlias = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class Inline(Struct, tag_field="type", tag="base64", omit_defaults=True):
    """An image within the request."""

    media_type: Media
    data: str


class Linked(Struct, tag_field="type", tag="url", omit_defaults=True):
    """An image that the engine is to fetch."""

    url: Annotated[str, Meta(min_length=1, max_length=8192)]


class Text(Struct, tag_field="type", tag="text", omit_defaults=True):
    """Text; ``citations`` and ``cache_control`` are accepted and have no effect, here and below."""

    text: str
    citations: Raw = Raw()
    cache_control: Raw = Raw()


class Image(Struct, tag_field="type", tag="image", omit_defaults=True):
    """An image."""

    source: Inline | Linked
    cache_control: Raw = Raw()


class PlainText(Struct, tag_field="type", tag="text", omit_defaults=True):
    """A document's text."""

    data: str
    media_type: Literal["text/plain"] = "text/plain"


class Parts(Struct, tag_field="type", tag="content", omit_defaults=True):
    """A document in pieces."""

    content: str | list[Text | Image]


class Document(Struct, tag_field="type", tag="document", omit_defaults=True):
    """A document, of text only."""

    source: PlainText | Parts
    title: str | None = None
    context: str | None = None
    citations: Raw = Raw()
    cache_control: Raw = Raw()


class Found(Struct, tag_field="type", tag="search_result", omit_defaults=True):
    """What a search of the caller's found."""

    source: str
    title: str
    content: list[Text]
    citations: Raw = Raw()
    cache_control: Raw = Raw()


class ToolUse(Struct, tag_field="type", tag="tool_use", omit_defaults=True):
    """A call that the model made."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    input: dict[str, Raw]
    caller: Raw = Raw()
    cache_control: Raw = Raw()


class ToolResult(Struct, tag_field="type", tag="tool_result", omit_defaults=True):
    """What such a call returned."""

    tool_use_id: Annotated[str, Meta(min_length=1, max_length=256)]
    content: str | list[Text | Image | Document | Found] | None = None
    is_error: bool | None = None
    cache_control: Raw = Raw()


class Thinking(Struct, tag_field="type", tag="thinking", omit_defaults=True):
    """Reasoning of an earlier answer; its signature is not checked."""

    thinking: str
    signature: str = ""


class Redacted(Struct, tag_field="type", tag="redacted_thinking", omit_defaults=True):
    """Reasoning that only Anthropic can read: it is left out."""

    data: str = ""


Block: TypeAlias = Text | Image | Document | Found | ToolUse | ToolResult | Thinking | Redacted


class Turn(Struct, omit_defaults=True):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[Block], Meta(max_length=MAX_ITEMS)]


class Tool(Struct, omit_defaults=True):
    """A tool that the caller runs."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    input_schema: dict[str, Raw] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: Raw = Raw()


class Auto(Struct, tag_field="type", tag="auto", omit_defaults=True):
    """The model decides."""

    disable_parallel_tool_use: bool | None = None


class AnyTool(Struct, tag_field="type", tag="any", omit_defaults=True):
    """Some tool must be called."""

    disable_parallel_tool_use: bool | None = None


class OneTool(Struct, tag_field="type", tag="tool", omit_defaults=True):
    """This tool must be called."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoTool(Struct, tag_field="type", tag="none", omit_defaults=True):
    """No tool may be called."""


Pick: TypeAlias = Auto | AnyTool | OneTool | NoTool


class Think(Struct, omit_defaults=True):
    """``thinking``: whether reasoning is wanted, and seen."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class Format(Struct, omit_defaults=True):
    """The JSON that the answer has to be."""

    type: Literal["json_schema"]
    schema: dict[str, Raw]


class Output(Struct, omit_defaults=True):
    """``output_config``."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Count(Struct, omit_defaults=True, kw_only=True):
    """``POST /v1/messages/count_tokens``."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_ITEMS)]
    system: str | list[Text] | None = None
    tools: Annotated[list[Tool], Meta(max_length=1024)] | None = None
    tool_choice: Pick | None = None
    thinking: Think | None = None
    output_config: Output | None = None
    output_format: Format | None = None

    @property
    def shows_thinking(self) -> bool:
        """Whether reasoning is part of the answer."""
        return self.thinking is not None and self.thinking.type != "disabled"

    @property
    def hides_thinking(self) -> bool:
        """Whether it is there without its words."""
        return self.thinking is not None and self.thinking.display == "omitted"


class StrictCount(Count, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A count of known fields only."""


class Messages(Count, omit_defaults=True, kw_only=True):
    """``POST /v1/messages``."""

    max_tokens: Annotated[int, Meta(ge=1, le=10_000_000)]
    stop_sequences: Annotated[list[str], Meta(max_length=16)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class StrictMessages(Messages, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of known fields only: the first try."""
