"""What Anthropic's answers are made of: blocks, usage and the reason to stop.

Fields that are always null are there all the same: strict clients ask for them.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from littoral.gateway.said import Choice, Used

_STOPS: Final = {
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


class Text(Struct, tag_field="type", tag="text"):
    """Text."""

    text: str
    citations: None = None


class Thinking(Struct, tag_field="type", tag="thinking"):
    """Reasoning; engines do not sign it."""

    thinking: str
    signature: str = ""


class Direct(Struct, frozen=True, tag_field="type", tag="direct"):
    """Who calls a tool: the model itself."""


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    """A call of a tool."""

    id: str
    name: str
    input: dict[str, Raw]
    caller: Direct = Direct()


class OutDetails(Struct):
    """How many of the output's tokens were reasoning."""

    thinking_tokens: int


class DeltaUsage(Struct, kw_only=True):
    """Tokens used, as the end of a stream has them; the input is without what was cached."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutDetails | None = None
    server_tool_use: None = None


class Usage(DeltaUsage, kw_only=True):
    """Tokens used, as a message has them."""

    cache_creation: None = None
    inference_geo: None = None
    service_tier: None = None


class Stop(Struct):
    """Why a message ended, and which of the caller's sequences ended it."""

    reason: str
    sequence: str | None


def message_id(request: str) -> str:
    """A message's id, by which its request can be found."""
    return "msg_" + request.removeprefix("req_")


def stop_of(choice: Choice, sequences: Sequence[str], *, called: bool, refused: bool) -> Stop:
    """Why the engine stopped, in Anthropic's words."""
    word = choice.stop_reason
    if isinstance(word, str) and word in sequences:
        return Stop("stop_sequence", word)
    reason = _STOPS.get(choice.finish_reason or "")
    if reason is None:
        reason = "tool_use" if called else "refusal" if refused else "end_turn"
    return Stop(reason, None)


def usage_of(used: Used | None) -> Usage:
    """Tokens used; all zero where the engine does not say."""
    used = used or Used()
    thought = used.thought
    return Usage(
        input_tokens=max(used.prompt_tokens - used.cached, 0),
        output_tokens=used.completion_tokens,
        cache_read_input_tokens=used.cached,
        output_tokens_details=None if thought is None else OutDetails(thought),
    )
