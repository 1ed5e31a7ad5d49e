"""From the events of a chat's stream to those of Anthropic's.

Anthropic's blocks come one after the other, while engines may send the pieces of several calls in
turns: what belongs to a block that may not begin yet waits.
"""

from typing import Final, cast, final

import msgspec
from msgspec import Raw

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.anthropic.blocks import (
    DeltaUsage,
    OutDetails,
    Stop,
    message_id,
    stop_of,
)
from littoral.gateway.dialect.anthropic.body import Messages
from littoral.gateway.said import Call, Choice, Speech, Used, listen
from littoral.gateway.tally import Usage

_ENCODE: Final = msgspec.json.Encoder().encode
_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, Raw]).decode

_START: Final = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":%b,"type":"message",'
    b'"role":"assistant","model":%b,"content":[],"stop_reason":null,"stop_sequence":null,'
    b'"stop_details":null,"container":null,"usage":{"input_tokens":0,"output_tokens":0,'
    b'"cache_creation":null,"cache_creation_input_tokens":null,"cache_read_input_tokens":null,'
    b'"inference_geo":null,"output_tokens_details":null,"server_tool_use":null,'
    b'"service_tier":null}}}\n\n'
)
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_OPEN: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
    b'"content_block":%b}\n\n'
)
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"%b":%b}}\n\n'
)
_CLOSE: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_END: Final = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,'
    b'"stop_sequence":%b,"stop_details":null,"container":null},"usage":%b}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_TEXT: Final = b'{"type":"text","text":"","citations":null}'
_THINKING: Final = b'{"type":"thinking","thinking":"","signature":""}'
_TOOL: Final = b'{"type":"tool_use","id":%b,"name":%b,"input":{},"caller":{"type":"direct"}}'
_TEXT_DELTA, _THINKING_DELTA = b'text_delta","text', b'thinking_delta","thinking'
_TOOL_DELTA: Final = b'input_json_delta","partial_json'


class _Block:
    """A block: what opens it, what its pieces are called, and the pieces that wait."""

    __slots__ = ("arguments", "delta", "id", "name", "waiting")

    def __init__(self, delta: bytes) -> None:
        self.delta = delta
        self.id = self.name = self.arguments = ""
        self.waiting: list[str] = []

    @property
    def head(self) -> bytes:
        """The block as it begins."""
        if self.delta is _TOOL_DELTA:
            return _TOOL % (_ENCODE(self.id), _ENCODE(self.name))
        return _TEXT if self.delta is _TEXT_DELTA else _THINKING

    @property
    def whole(self) -> bool:
        """Whether it may end: a call where its arguments are an object, the others anywhere."""
        if self.delta is not _TOOL_DELTA:
            return True
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            _ARGUMENTS(self.arguments)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return True


@final
class MessageStream:
    """One answer under way.

    Args:
        asked: What was asked; its ``origin`` is a ``Messages``.
        request: The request's id.
    """

    def __init__(self, asked: Asked, request: str) -> None:
        self._asked = asked
        self._origin = cast("Messages", asked.origin)
        self._request = request
        self._begun = False
        self._index = -1
        self._open: _Block | None = None
        self._queue: list[_Block] = []
        self._calls: dict[int, _Block] = {}
        self._made = 0
        self._refused = False
        self._pieces = 0
        self._used: Used | None = None
        self._stop: Stop | None = None

    def take(self, events: bytes) -> bytes:
        """Translate whole events.

        Raises:
            ValueError: An event is none of a chat, or says that the engine failed.
        """
        out: list[bytes] = []
        for said in listen(events):
            if not self._begun:
                self._begun = True
                out.append(self._start())
            if said.usage is not None:
                self._used = said.usage
            for choice in said.choices:
                if choice.index == 0:
                    self._add(choice, out)
        if not out and self._begun and events.startswith(b":"):
            return _PING
        return b"".join(out)

    def end(self, usage: Usage | None) -> bytes:
        """Close what is open, and say what was used and why it stopped.

        Raises:
            ValueError: A call of a tool never had a name.
        """
        out = [] if self._begun else [self._start()]
        self._close(out)
        for block in self._queue:
            self._begin(block, out)
            self._close(out)
        stop = self._stop or stop_of(Choice(), (), called=bool(self._made), refused=self._refused)
        used = _ENCODE(self._usage(usage))
        out.append(_END % (_ENCODE(stop.reason), _ENCODE(stop.sequence), used))
        return b"".join(out)

    def _start(self) -> bytes:
        name = _ENCODE(message_id(self._request))
        return _START % (name, _ENCODE(self._asked.model)) + _PING

    def _usage(self, usage: Usage | None) -> DeltaUsage:
        if usage is None:
            return DeltaUsage(input_tokens=0, output_tokens=self._pieces)
        thought = self._used.thought if self._used is not None else None
        return DeltaUsage(
            input_tokens=max(usage.tokens_in - usage.cached, 0),
            output_tokens=usage.tokens_out,
            cache_read_input_tokens=usage.cached,
            output_tokens_details=None if thought is None else OutDetails(thought),
        )

    def _add(self, choice: Choice, out: list[bytes]) -> None:
        delta = choice.delta
        if delta is not None:
            self._pieces += 1
            self._add_speech(delta, out)
        if choice.finish_reason:
            called = bool(self._made)
            sequences = self._origin.stop_sequences or ()
            self._stop = stop_of(choice, sequences, called=called, refused=self._refused)

    def _add_speech(self, delta: Speech, out: list[bytes]) -> None:
        origin, thought = self._origin, delta.thought
        if thought and origin.shows_thinking:
            self._say(_THINKING_DELTA, "" if origin.hides_thinking else thought, out)
        if delta.content:
            self._say(_TEXT_DELTA, delta.content, out)
        if delta.refusal:
            self._refused = True
            self._say(_TEXT_DELTA, delta.refusal, out)
        for call in delta.tool_calls or ():
            self._call(call, out)

    def _say(self, delta: bytes, text: str, out: list[bytes]) -> None:
        block = self._queue[-1] if self._queue else self._open
        if block is None or block.delta is not delta:
            block = _Block(delta)
            self._queue.append(block)
        self._give(block, text, out)

    def _call(self, call: Call, out: list[bytes]) -> None:
        index, function = call.index or 0, call.function
        block = self._calls.get(index)
        if block is None or (call.id and block.id and call.id != block.id):
            block = self._calls[index] = _Block(_TOOL_DELTA)
            block.id = call.id or f"toolu_{self._request}_{self._made}"
            self._made += 1
            self._queue.append(block)
        if function is None:
            return
        if function.name and not block.name:
            block.name = function.name
        text = function.arguments or ""
        block.arguments += text
        self._give(block, text, out)

    def _give(self, block: _Block, text: str, out: list[bytes]) -> None:
        """Say a piece now if its block is open, else as soon as it may be."""
        if block is self._open:
            self._piece(block, text, out)
        elif block in self._queue:
            if text:
                block.waiting.append(text)
        elif text.strip():
            raise ValueError("it goes on with a call of a tool that was whole")
        while self._queue and self._ready(self._queue[0]):
            self._close(out)
            self._begin(self._queue.pop(0), out)

    def _ready(self, block: _Block) -> bool:
        """Whether the open block is over, and the next one known well enough to begin."""
        named = bool(block.name) or block.delta is not _TOOL_DELTA
        return named and (self._open is None or self._open.whole)

    def _begin(self, block: _Block, out: list[bytes]) -> None:
        if block.delta is _TOOL_DELTA and not block.name:
            raise ValueError("it calls a tool without a name")
        self._index += 1
        self._open = block
        out.append(_OPEN % (self._index, block.head))
        for text in block.waiting:
            self._piece(block, text, out)

    def _piece(self, block: _Block, text: str, out: list[bytes]) -> None:
        if text:
            out.append(_DELTA % (self._index, block.delta, _ENCODE(text)))

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            out.append(_CLOSE % self._index)
            self._open = None
