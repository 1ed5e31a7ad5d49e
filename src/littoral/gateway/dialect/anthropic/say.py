"""From what engines answer to a chat to Anthropic's messages."""

from typing import Final, cast, final

import msgspec
from msgspec import Raw, Struct

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.anthropic.blocks import (
    Text,
    Thinking,
    ToolUse,
    Usage,
    message_id,
    stop_of,
    usage_of,
)
from littoral.gateway.dialect.anthropic.body import Messages
from littoral.gateway.dialect.anthropic.stream import MessageStream
from littoral.gateway.said import Call, hear

_ENCODE: Final = msgspec.json.Encoder().encode
_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class Message(Struct, tag_field="type", tag="message", kw_only=True):
    """A whole answer."""

    id: str
    role: str = "assistant"
    model: str
    content: list[Text | Thinking | ToolUse]
    stop_reason: str
    stop_sequence: str | None
    stop_details: None = None
    container: None = None
    usage: Usage


@final
class Translation:
    """The way from a chat's answers to those of Anthropic's API."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Translate a whole reply.

        Raises:
            ValueError: It is no answer to a chat, or a call's arguments are no JSON object.
        """
        said = hear(data)
        choice = said.choices[0] if said.choices else None
        if choice is None or choice.message is None:
            raise ValueError("it has no choice with a message")
        origin, speech = cast("Messages", asked.origin), choice.message
        content: list[Text | Thinking | ToolUse] = []
        if speech.thought and origin.shows_thinking:
            content.append(Thinking("" if origin.hides_thinking else speech.thought))
        text = (speech.content or "") + (speech.refusal or "")
        if text:
            content.append(Text(text))
        cut = choice.finish_reason == "length"
        for at, call in enumerate(speech.tool_calls or ()):
            content.append(_tool_use(call, f"toolu_{request}_{at}", cut=cut))
        called, refused = bool(speech.tool_calls), bool(speech.refusal)
        sequences = origin.stop_sequences or ()
        stop = stop_of(choice, sequences, called=called, refused=refused)
        return _ENCODE(
            Message(
                id=message_id(request),
                model=asked.model,
                content=content,
                stop_reason=stop.reason,
                stop_sequence=stop.sequence,
                usage=usage_of(said.usage),
            )
        )

    def stream(self, asked: Asked, request: str) -> MessageStream:
        """Begin to translate a stream."""
        return MessageStream(asked, request)


def _tool_use(call: Call, name: str, *, cut: bool) -> ToolUse:
    """Arguments that the cap on tokens cut off are given as none: the reason to stop says so."""
    function = call.function
    if function is None or not function.name:
        raise ValueError("it calls a tool without a name")
    arguments = (function.arguments or "").strip() or "{}"
    try:
        given = _ARGUMENTS(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if not cut:
            text = f"it calls {function.name!r} with arguments that are no JSON object: {error}"
            raise ValueError(text) from error
        given = {}
    return ToolUse(call.id or name, function.name, given)


TRANSLATION: Final = Translation()
