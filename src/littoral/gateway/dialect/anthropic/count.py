"""Counting a message's tokens: by the engine's own count, else by its tokenizer, else by guess."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast, final

import msgspec
from msgspec import Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.dialect.anthropic.ask import chat_of
from littoral.gateway.dialect.anthropic.body import Count, StrictCount
from littoral.gateway.named import NOTHING_WRITTEN, tokens_of
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import Chat, Message
from littoral.gateway.tokenization import TOKENIZE_CHAT, Tokenize
from littoral.gateway.voice import Unstreamed
from littoral.placement.filters import capability_mask

PICTURE: Final = 256
"""Tokens to expect of a picture, which only an engine can count."""
TURN: Final = 4
"""Tokens to expect of what a chat template puts around each message."""
_COUNT: Final = capability_mask(("count_tokens",))
_ENCODE: Final = msgspec.json.Encoder().encode
_read: Final = Reader(StrictCount, Count).read


def read_count(data: bytes) -> Asked | Refusal:
    """Decode a count for engines that count messages themselves."""
    return _asked(data, lambda body, _: (body, _COUNT))


def read_as_tokens(data: bytes) -> Asked | Refusal:
    """Decode a count for engines that have a tokenizer to ask."""
    return _asked(data, lambda _, chat: (_tokens(chat), TOKENIZE_CHAT))


def encode_count(asked: Asked, model: str, _cap: int) -> bytes:
    """Encode it in Anthropic's own shape."""
    body = cast("Count", asked.body)
    body.model = model
    return _ENCODE(body)


def guess(asked: Asked) -> bytes:
    """Answer without any engine: four bytes a token."""
    chat = chat_of(cast("Count", asked.origin))
    total = sum(_expect(message) for message in chat.messages)
    total += sum(-(-len(bytes(tool)) // 4) for tool in chat.tools or ())
    return _counted(total)


class _Part(Struct):
    text: str | None = None


_Content: TypeAlias = str | list[_Part] | None
_CONTENT: Final = msgspec.json.Decoder(_Content).decode


class _Reply(Struct):
    input_tokens: int | None = None
    count: int | None = None


_DECODE: Final = msgspec.json.Decoder(_Reply).decode


@final
class Counted(Unstreamed):
    """The translator of engines' counts, by either of their names."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Say the count as Anthropic does.

        Raises:
            ValueError: The engine gave none.
        """
        del asked, request
        reply = _DECODE(data)
        count = reply.count if reply.input_tokens is None else reply.input_tokens
        if count is None or count < 0:
            raise ValueError("it gave no count")
        return _counted(count)


COUNTED: Final = Counted()


def _asked(data: bytes, choose: Callable[[Count, Chat], tuple[Struct, int]]) -> Asked | Refusal:
    found = _read(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    try:
        chat = chat_of(body)
    except InvalidInput as error:
        return refuse(InvalidInput, error.message, param=error.param)
    sent, needs = choose(body, chat)
    return Asked(body.model, sent, ignored, needs, cap=NOTHING_WRITTEN, longest=1, origin=body)


def _tokens(chat: Chat) -> Tokenize:
    body = Tokenize(model=chat.model, messages=chat.messages, tools=chat.tools)
    body.add_generation_prompt = True
    if chat.chat_template_kwargs:
        body.chat_template_kwargs = chat.chat_template_kwargs
    return body


def _expect(message: Message) -> int:
    content = cast("_Content", _CONTENT(message.content)) if message.content else None
    calls: Sequence[dict[str, Raw]] = message.tool_calls or ()
    tokens = TURN + sum(tokens_of(bytes(call["function"]).decode()) for call in calls)
    tokens += tokens_of(message.reasoning_content or "")
    if isinstance(content, str):
        return tokens + tokens_of(content)
    return tokens + sum(
        PICTURE if part.text is None else tokens_of(part.text) for part in content or ()
    )


def _counted(tokens: int) -> bytes:
    return _ENCODE({"input_tokens": tokens})
