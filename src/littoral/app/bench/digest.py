"""An answer as it comes: when its first token was there, its gaps, its usage, its end."""

from array import array
from typing import Final

import msgspec

DONE: Final = b"[DONE]"
MOST_DETAIL: Final = 200


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, object] | str | None = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode


class Digest:
    """Takes the body of one answer, piece by piece.

    Args:
        streamed: Whether it is a stream of events; else one JSON document.
    """

    __slots__ = (
        "_buffer",
        "_latest",
        "_streamed",
        "cached",
        "counted",
        "ended",
        "fault",
        "first",
        "gaps",
        "tokens_in",
        "tokens_out",
    )

    def __init__(self, *, streamed: bool) -> None:
        self._streamed = streamed
        self._buffer = b""
        self._latest = 0.0
        self.first: float | None = None
        self.gaps = array("f")
        self.tokens_in = self.tokens_out = self.cached = 0
        self.counted = self.ended = False
        self.fault = ""

    def feed(self, now: float, data: bytes) -> None:
        """Take the next bytes of the body.

        Args:
            now: When they came.
            data: Any part of it.
        """
        if not self._streamed:
            self._buffer += data
            return
        if self._buffer:
            data = self._buffer + data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *events, self._buffer = data.split(b"\n\n")
        for event in events:
            self._event(now, event)

    def finish(self) -> None:
        """The body is complete: read what is no stream, and judge what is one."""
        if not self._streamed:
            self._chunk(self._buffer)
            self.ended = True
        elif not self.ended and not self.fault:
            self.fault = "the stream ended without [DONE] and without a finish_reason"
        self._buffer = b""

    def _event(self, now: float, event: bytes) -> None:
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == DONE:
                    self.ended = True
                elif self._chunk(data):
                    self._token(now)

    def _token(self, now: float) -> None:
        if self.first is None:
            self.first = now
        else:
            self.gaps.append(now - self._latest)
        self._latest = now
        if not self.counted:
            self.tokens_out += 1

    def _chunk(self, data: bytes) -> bool:
        """Take one JSON document; whether it brought a piece of the answer."""
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            self.fault = self.fault or f"no JSON as expected: {error}"[:MOST_DETAIL]
            return False
        if chunk.error is not None:
            self.fault = self.fault or _told(chunk.error)
        if chunk.usage is not None:
            self._usage(chunk.usage)
        self.ended = self.ended or any(each.finish_reason for each in chunk.choices)
        return any(_brings_text(choice) for choice in chunk.choices)

    def _usage(self, usage: _Usage) -> None:
        details = usage.prompt_tokens_details
        self.tokens_out = usage.completion_tokens
        self.tokens_in = usage.prompt_tokens or max(0, usage.total_tokens - self.tokens_out)
        self.cached = (details.cached_tokens or 0) if details is not None else 0
        self.counted = True


def _told(error: dict[str, object] | str) -> str:
    message = error if isinstance(error, str) else error.get("message", error)
    return str(message)[:MOST_DETAIL]


def _brings_text(choice: _Choice) -> bool:
    delta = choice.delta
    if delta is None:
        return bool(choice.text)
    return bool(delta.content or delta.reasoning_content or delta.reasoning or delta.tool_calls)
