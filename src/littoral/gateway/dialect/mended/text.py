"""Completions, whole and streamed."""

from collections.abc import Mapping, Sequence
from typing import Final, cast, final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.mended.answer import Answer, Heard, whole
from littoral.gateway.dialect.mended.stream import Event, MendedStream, Piece

_ENCODE: Final = msgspec.json.Encoder().encode
_KIND: Final = "text_completion"


class _Likely(Struct):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] | None = None


class Certainty(Struct):
    """Log probabilities: as completions have them, or in ``content`` as chats have them."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[Mapping[str, float] | None] | None = None
    text_offset: list[int] | None = None
    content: list[_Token] | UnsetType | None = UNSET


class _Choice(Struct):
    text: str = ""
    index: int = 0
    logprobs: Certainty | None = None
    finish_reason: str | None = None


_READ: Final = msgspec.json.Decoder(Heard[_Choice]).decode


@final
class MendedText:
    """The translator of completions that are whole only in part."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Mend a whole answer.

        Raises:
            ValueError: It is no completion.
        """
        reply = _READ(data)
        if not reply.choices:
            raise ValueError("it has no choice")
        for choice in reply.choices:
            choice.finish_reason = choice.finish_reason or "stop"
            choice.logprobs = _certain(choice.logprobs, 0)
        return _ENCODE(
            Answer(
                id=_id(request),
                object=_KIND,
                created=asked.began_s,
                model=asked.model,
                choices=reply.choices,
                usage=UNSET if reply.usage is None else whole(reply.usage),
            )
        )

    def stream(self, asked: Asked, request: str) -> "TextStream":
        """Begin to mend a stream."""
        return TextStream(asked, _id(request), _KIND)


@final
class TextStream(MendedStream):
    """One completion under way."""

    def __init__(self, asked: Asked, id: str, kind: str) -> None:  # noqa: A002  the field's name
        super().__init__(asked, id, kind)
        self._lengths: dict[int, int] = {}

    def _read(self, payload: bytes) -> Event:
        return _READ(payload)

    def _mend(self, piece: Piece) -> None:
        piece = cast("_Choice", piece)
        self._begun.add(piece.index)
        before = self._lengths.get(piece.index, 0)
        piece.logprobs = _certain(piece.logprobs, before)
        self._lengths[piece.index] = before + len(piece.text)

    def _last(self, index: int) -> Piece:
        return _Choice(index=index, finish_reason="stop")


MENDED_TEXT: Final = MendedText()


def _certain(found: Certainty | None, offset: int) -> Certainty | None:
    """Log probabilities as completions have them; ``offset`` is the text before these."""
    if found is None or not found.content:
        return found
    tokens = [each.token for each in found.content]
    return Certainty(
        tokens,
        [each.logprob for each in found.content],
        [{one.token: one.logprob for one in each.top_logprobs or ()} for each in found.content],
        _offsets(tokens, offset),
    )


def _offsets(tokens: Sequence[str], offset: int) -> list[int]:
    found: list[int] = []
    for token in tokens:
        found.append(offset)
        offset += len(token)
    return found


def _id(request: str) -> str:
    return "cmpl-" + request.removeprefix("req_")
