"""Chats, whole and streamed."""

from typing import Final, cast, final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.mended.answer import Answer, Heard, whole
from littoral.gateway.dialect.mended.stream import Event, MendedStream, Piece

_ENCODE: Final = msgspec.json.Encoder().encode
_NULL: Final = Raw(b"null")


class _Function(Struct, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, omit_defaults=True):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Delta(Struct, omit_defaults=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Piece(Struct):
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)
    logprobs: Raw = _NULL
    finish_reason: str | None = None


class _Message(Struct):
    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    reasoning_content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    tool_calls: list[_Call] | UnsetType | None = UNSET


class _Choice(Struct):
    index: int = 0
    message: _Message | None = None
    logprobs: Raw = _NULL
    finish_reason: str | None = None


_READ_EVENT: Final = msgspec.json.Decoder(Heard[_Piece]).decode
_READ: Final = msgspec.json.Decoder(Heard[_Choice]).decode


@final
class MendedChat:
    """The translator of chats that are whole only in part."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Mend a whole answer.

        Raises:
            ValueError: It is no answer to a chat.
        """
        reply = _READ(data)
        if not reply.choices:
            raise ValueError("it has no choice")
        for choice in reply.choices:
            if choice.message is None:
                raise ValueError("a choice has no message")
            _mend(choice, choice.message, request)
        return _ENCODE(
            Answer(
                id=_id(request),
                object="chat.completion",
                created=asked.began_s,
                model=asked.model,
                choices=reply.choices,
                usage=UNSET if reply.usage is None else whole(reply.usage),
            )
        )

    def stream(self, asked: Asked, request: str) -> "ChatStream":
        """Begin to mend a stream."""
        return ChatStream(asked, request)


@final
class ChatStream(MendedStream):
    """One chat under way.

    Args:
        asked: What was asked.
        request: The request's id.
    """

    def __init__(self, asked: Asked, request: str) -> None:
        super().__init__(asked, _id(request), "chat.completion.chunk")
        self._request = request
        self._calls: dict[tuple[int, int], str] = {}
        self._calling: set[int] = set()

    def _read(self, payload: bytes) -> Event:
        return _READ_EVENT(payload)

    def _mend(self, piece: Piece) -> None:
        delta = cast("_Piece", piece).delta
        if piece.index not in self._begun:
            self._begun.add(piece.index)
            delta.role = "assistant"
            if delta.content is None and not delta.tool_calls:
                delta.content = ""
        elif delta.role is not None:
            delta.role = None
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._mend_call(piece.index, call)
        if piece.finish_reason is not None and piece.index in self._calling:
            piece.finish_reason = _called(piece.finish_reason)

    def _mend_call(self, choice: int, call: _Call) -> None:
        """The first piece of a call has its id, type and name; the others none of them."""
        self._calling.add(choice)
        at = call.index = call.index or 0
        known = self._calls.get((choice, at))
        if known is None or (call.id and call.id != known):
            call.id = call.id or f"call_{self._request}_{choice}_{at}"
            self._calls[choice, at] = call.id
            call.type = "function"
            call.function = call.function or _Function("")
            call.function.arguments = call.function.arguments or ""
        else:
            call.id = call.type = None
            if call.function is not None:
                call.function.name = None

    def _last(self, index: int) -> Piece:
        reason = "tool_calls" if index in self._calling else "stop"
        return _Piece(index, finish_reason=reason)


MENDED_CHAT: Final = MendedChat()


def _mend(choice: _Choice, message: _Message, request: str) -> None:
    message.role = "assistant"
    message.annotations = message.annotations or []
    reason = choice.finish_reason or "stop"
    if message.tool_calls:
        reason = _called(reason)
        message.content = message.content or None
        for at, call in enumerate(message.tool_calls):
            call.index = None
            call.id = call.id or f"call_{request}_{choice.index}_{at}"
            call.type = "function"
            call.function = call.function or _Function("")
            call.function.arguments = call.function.arguments or "{}"
    elif message.tool_calls is not UNSET:
        message.tool_calls = UNSET
    choice.finish_reason = reason


def _called(reason: str) -> str:
    return reason if reason in {"length", "content_filter"} else "tool_calls"


def _id(request: str) -> str:
    return "chatcmpl-" + request.removeprefix("req_")
