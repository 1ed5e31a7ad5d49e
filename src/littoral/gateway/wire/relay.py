"""Relay: streams cut into whole events, counted, and what the engine says was used."""

from typing import Final

from littoral.gateway.route import Flow
from littoral.gateway.tally import Usage, whole

MAX_EVENT: Final = 1024 * 1024
_USAGE: Final = b'"usage":{'
_SPACED_USAGE: Final = b'"usage": {'
_ERROR: Final = b'{"error"'


class Events:
    """One stream on its way through.

    Only whole events go on, so that an error event can always follow; ``tokens`` counts the pieces
    of content handed out so far. Where the client did not ask for usage, the event that carries it
    is held back.

    Args:
        flow: How this kind of stream is read.
        hold: Whether to hold the usage event back.
    """

    __slots__ = ("_carry", "_empty", "_flow", "_hold", "_last", "_needle", "_previous", "tokens")

    def __init__(self, flow: Flow, *, hold: bool) -> None:
        self._flow = flow
        self._hold = hold
        self._needle = flow.needle
        self._empty = flow.needle + b'"'
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
        text = self._last
        at = _usage_at(text)
        if at < 0:
            text = self._previous + self._last
            at = _usage_at(text)
        if at < 0:
            return None
        end = text.find(b"\n", at)
        found = whole(text[text.rfind(b"data:", 0, at) + 5 : end if end >= 0 else len(text)])
        return found.usage if found is not None else None

    @property
    def done(self) -> bool:
        """Whether the engine said that it said everything."""
        return self._last.rstrip().endswith(self._flow.done)

    @property
    def finished(self) -> bool:
        """Whether a choice was given its reason to end."""
        tail, mark = self._previous + self._last, self._flow.finish
        return mark in tail or mark.replace(b":", b": ") in tail

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


def _usage_at(text: bytes) -> int:
    """Where the last usage begins, -1 where there is none."""
    at = text.rfind(_USAGE)
    return at if at >= 0 else text.rfind(_SPACED_USAGE)


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
