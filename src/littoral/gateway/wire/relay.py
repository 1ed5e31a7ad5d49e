"""Relay: streams cut into whole events, counted, and what the engine says was used."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

MAX_EVENT: Final = 1024 * 1024
MAX_REPLY: Final = 8 * 1024 * 1024
DONE: Final = b"data: [DONE]"
_USAGE: Final = b'"usage":{'
_ERROR: Final = b'{"error"'
_Count = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class Usage(Struct, gc=False):
    """Tokens as the engine counted them."""

    tokens_in: int
    cached: int
    tokens_out: int


class _Details(Struct):
    cached_tokens: _Count | None = None


class _Usage(Struct):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None


class _Fault(Struct):
    message: str = ""


class _Reply(Struct):
    usage: _Usage | None = None
    error: _Fault | str | None = None


_DECODE = msgspec.json.Decoder(_Reply).decode


class Whole(Struct, gc=False):
    """A reply that is not streamed, as far as we read it."""

    usage: Usage | None
    fault: str


def whole(data: bytes) -> Whole | None:
    """Read a reply's usage, or its error message; None where it is no JSON object."""
    try:
        reply = _DECODE(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    error = reply.error
    fault = error.message if isinstance(error, _Fault) else error or ""
    return Whole(_usage(reply), fault)


def _usage(reply: _Reply) -> Usage | None:
    used = reply.usage
    if used is None:
        return None
    details = used.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    return Usage(used.prompt_tokens, cached, used.completion_tokens)


class Events:
    """One stream on its way through.

    Only whole events go on, so that an error event can always follow; ``tokens`` counts the pieces
    of content handed out so far. Where the client did not ask for usage, the event that carries it
    is held back.

    Args:
        hold: Whether to hold the usage event back.
        chat: Whether content stands in ``content``, else in ``text``.
    """

    __slots__ = ("_carry", "_empty", "_hold", "_last", "_needle", "_previous", "tokens")

    def __init__(self, *, hold: bool, chat: bool) -> None:
        self._hold = hold
        self._needle = b'"content":"' if chat else b'"text":"'
        self._empty = b'"content":""' if chat else b'"text":""'
        self._carry = b""
        self._last = b""
        self._previous = b""
        self.tokens = 0

    def take(self, data: bytes) -> bytes:
        """Take what came; return what goes on, which may be nothing yet.

        Raises:
            ValueError: One event is longer than ``MAX_EVENT``.
        """
        if self._carry or data[-2:] != b"\n\n":
            data = self._cut(data)
            if not data:
                return b""
        count = data.count(self._needle) - data.count(self._empty)
        self.tokens += count if count > 0 else _other_pieces(data)
        self._previous = self._last
        self._last = data
        if self._hold and _USAGE in data:
            return _without_usage(data)
        return data

    def _cut(self, data: bytes) -> bytes:
        data = self._carry + data
        plain, dos = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        end = max(plain + 2 if plain >= 0 else 0, dos + 4 if dos >= 0 else 0)
        self._carry = data[end:]
        if len(self._carry) > MAX_EVENT:
            raise ValueError(f"an event is over {MAX_EVENT} bytes")
        return data[:end]

    def usage(self) -> Usage | None:
        """What the engine said was used, from the end of the stream."""
        at = self._last.rfind(_USAGE)
        text = self._last
        if at < 0:
            text = self._previous + self._last
            at = text.rfind(_USAGE)
        if at < 0:
            return None
        end = text.find(b"\n", at)
        found = whole(text[text.rfind(b"data:", 0, at) + 5 : end if end >= 0 else len(text)])
        return found.usage if found is not None else None

    @property
    def done(self) -> bool:
        """Whether the engine said that it said everything."""
        return self._last.rstrip().endswith(DONE)

    @property
    def finished(self) -> bool:
        """Whether a choice was given its reason to end."""
        tail = self._previous + self._last
        return b'"finish_reason":"' in tail or b'"finish_reason": "' in tail

    @property
    def failed(self) -> bool:
        """Whether the last events carry an error of the engine's own."""
        return b"data: " + _ERROR in self._last or b"data:" + _ERROR in self._last


def first_error(data: bytes) -> str | None:
    """The message of a stream that opens with an error event, else None."""
    start = data[5:].lstrip() if data.startswith(b"data:") else b""
    if not start.startswith(_ERROR):
        return None
    found = whole(start.split(b"\n", 1)[0])
    return found.fault if found is not None and found.fault else "it answered with an error"


def _other_pieces(data: bytes) -> int:
    """Pieces of content of other kinds: calls of tools, and reasoning."""
    count = data.count(b'"arguments":"') - data.count(b'"arguments":""')
    reasoned = data.count(b'"reasoning_content":"') - data.count(b'"reasoning_content":""')
    spaced = data.count(b'"content": "') - data.count(b'"content": ""')
    return max(count, 0) + max(reasoned, 0) + max(spaced, 0)


def _without_usage(data: bytes) -> bytes:
    """Drop events that have usage and no choice."""
    gap = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    events = data.split(gap)
    return gap.join(e for e in events if not (_USAGE in e and _has_no_choice(e)))


def _has_no_choice(event: bytes) -> bool:
    return b'"choices":[]' in event or b'"choices": []' in event
