"""Tokenization: a model's tokens of a text or a chat, and the text of its tokens."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias, cast, final

import msgspec
from msgspec import Meta, Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.named import NOTHING_WRITTEN, Named
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import MAX_ITEMS, Message
from littoral.gateway.tally import Usage, Whole, whole
from littoral.gateway.voice import Unstreamed
from littoral.placement.filters import capability_mask

TOKENIZE: Final = capability_mask(("tokenize",))
TOKENIZE_CHAT: Final = capability_mask(("tokenize", "tokenize_chat"))
_ENCODE: Final = msgspec.json.Encoder().encode
MOST_TOKENS: Final = 1_000_000
_Id: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Tokenize(Named, omit_defaults=True, kw_only=True):
    """``POST /tokenize`` in vLLM's shape: a prompt, or messages."""

    prompt: str | None = None
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    tools: Annotated[list[Raw], Meta(max_length=1024)] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    return_token_strs: bool | None = None
    chat_template_kwargs: Raw = Raw()


class StrictTokenize(Tokenize, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


class Detokenize(Named, omit_defaults=True, kw_only=True):
    """``POST /detokenize``."""

    tokens: Annotated[list[_Id], Meta(max_length=MOST_TOKENS)]


class StrictDetokenize(Detokenize, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


_read_tokenize = Reader(StrictTokenize, Tokenize).read
_read_detokenize = Reader(StrictDetokenize, Detokenize).read


def read_tokenize(data: bytes) -> Asked | Refusal:
    """Decode the body of a tokenization."""
    found = _read_tokenize(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    if (body.prompt is None) == (body.messages is None):
        return refuse(InvalidInput, "give either prompt or messages", param="prompt")
    if body.continue_final_message and body.add_generation_prompt:
        message = "continue_final_message and add_generation_prompt exclude each other"
        return refuse(InvalidInput, message, param="continue_final_message")
    needs = TOKENIZE if body.messages is None else TOKENIZE_CHAT
    return _asked(body, ignored, needs)


def read_detokenize(data: bytes) -> Asked | Refusal:
    """Decode the body of a detokenization."""
    found = _read_detokenize(data)
    return found if isinstance(found, Refusal) else _asked(*found)


def _asked(body: Named, ignored: Sequence[str], needs: int = TOKENIZE) -> Asked:
    return Asked(body.model, body, ignored, needs, cap=NOTHING_WRITTEN, weight=1)


def encode(asked: Asked, model: str, _cap: int) -> bytes:
    """Encode either for an engine, by vLLM's names and by llama.cpp's beside them."""
    body = cast("Tokenize | Detokenize", asked.body)
    body.model = model
    fields = cast("dict[str, object]", msgspec.json.decode(_ENCODE(body)))
    if isinstance(body, Tokenize) and body.prompt is not None:
        special = body.add_special_tokens is not False
        fields |= {"content": body.prompt, "add_special": special, "parse_special": False}
        fields["with_pieces"] = body.return_token_strs is True
    return _ENCODE(fields)


class _Token(Struct):
    id: int
    piece: str | list[int] = ""


class _Found(Struct):
    tokens: list[int | _Token] = []
    count: int | None = None
    max_model_len: int | None = None
    token_strs: list[str] | None = None
    prompt: str | None = None
    content: str | None = None


_DECODE = msgspec.json.Decoder(_Found).decode


@final
class Tokens(Unstreamed):
    """The mender of tokenizers' answers: vLLM's shape, from that or from llama.cpp's."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Say it in vLLM's shape.

        Raises:
            ValueError: The engine gave no text, or took no messages.
        """
        del request
        found = _DECODE(data)
        if isinstance(asked.body, Detokenize):
            text = found.content if found.prompt is None else found.prompt
            if text is None:
                raise ValueError("it gave no text")
            return _ENCODE({"prompt": text})
        if found.count is None and cast("Tokenize", asked.body).messages is not None:
            raise ValueError("it takes the tokens of a prompt only, not of messages")
        ids = [each if isinstance(each, int) else each.id for each in found.tokens]
        pieces = [_text(each) for each in found.tokens if isinstance(each, _Token)]
        return _ENCODE(
            {
                "count": len(ids) if found.count is None else found.count,
                "max_model_len": found.max_model_len,
                "tokens": ids,
                "token_strs": found.token_strs or pieces or None,
            }
        )


TOKENS: Final = Tokens()


def _text(token: _Token) -> str:
    """A piece as text; llama.cpp gives bytes that are none as numbers."""
    piece = token.piece
    return piece if isinstance(piece, str) else bytes(piece).decode("utf-8", "replace")


def unbilled(data: bytes) -> Whole | None:
    """What a tokenizer's reply says was used: no model ran, so nothing."""
    found = whole(data)
    return None if found is None else Whole(Usage(0, 0, 0), found.fault)
