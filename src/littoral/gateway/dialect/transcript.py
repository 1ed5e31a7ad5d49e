"""Transcripts: what engines heard, as plain text or as subtitles, and how much sound it was."""

import math
from collections.abc import Iterable
from typing import Annotated, Final, final

import msgspec
from msgspec import Meta, Struct

from littoral.gateway.asked import Asked
from littoral.gateway.named import tokens_of
from littoral.gateway.speech import TOKENS_A_SECOND, Recording
from littoral.gateway.tally import Usage, Whole, whole
from littoral.gateway.voice import Stream

_DONE: Final = b"data: [DONE]\n\n"
_Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]


class _Segment(Struct):
    start: _Seconds
    end: _Seconds
    text: str


class _Length(Struct):
    seconds: _Seconds = 0.0


class _Heard(Struct):
    text: str
    duration: _Seconds = 0.0
    segments: list[_Segment] | None = None
    usage: _Length | None = None


_DECODE = msgspec.json.Decoder(_Heard, strict=False).decode
"""Not strict: some engines say the duration as a text."""


def heard(data: bytes) -> Whole | None:
    """Read a transcript's usage: its tokens, or those of its seconds."""
    found = whole(data)
    if found is None or (found.usage is not None and found.usage.tokens_in):
        return found
    try:
        said = _DECODE(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return found
    seconds = said.usage.seconds if said.usage is not None else 0.0
    seconds = seconds or said.duration
    if not seconds:
        return found
    tokens = math.ceil(seconds * TOKENS_A_SECOND)
    return Whole(Usage(tokens, 0, tokens_of(said.text)), found.fault)


@final
class Transcript:
    """The translator of what was heard."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Say it in the format asked for; JSON is passed on.

        Raises:
            ValueError: The engine's reply has no text.
        """
        del request
        recording: Recording = asked.body  # pyright: ignore[reportAssignmentType]  its route reads no other
        wanted = recording.fields.response_format or "json"
        said = _DECODE(data)
        if wanted == "text":
            return said.text.strip().encode() + b"\n"
        segments = said.segments or [_Segment(0.0, said.duration, said.text)]
        match wanted:
            case "srt":
                return "".join(_subtitles(segments)).encode()
            case "vtt":
                return "".join(_cues(segments)).encode()
            case _:
                return data

    def stream(self, asked: Asked, request: str) -> Stream:
        """Pass the engine's events on."""
        del asked, request
        return _Same()


@final
class _Same:
    def take(self, events: bytes) -> bytes:
        """The events, without the last one, which ``end`` says."""
        return events.replace(_DONE, b"")

    def end(self, usage: Usage | None) -> bytes:
        """The last event; what was used stands in the one before it."""
        del usage
        return _DONE


TRANSCRIPT: Final = Transcript()


def _subtitles(segments: Iterable[_Segment]) -> Iterable[str]:
    for number, each in enumerate(segments, 1):
        yield f"{number}\n{_at(each.start, ',')} --> {_at(each.end, ',')}\n{_line(each)}\n\n"


def _cues(segments: Iterable[_Segment]) -> Iterable[str]:
    yield "WEBVTT\n\n"
    for each in segments:
        yield f"{_at(each.start, '.')} --> {_at(each.end, '.')}\n{_line(each)}\n\n"


def _line(segment: _Segment) -> str:
    """A segment's text on lines of its own: none empty, no arrow, which would begin another."""
    lines = [line.strip() for line in segment.text.splitlines()]
    return "\n".join(line for line in lines if line).replace("-->", "->")


def _at(seconds: float, point: str) -> str:
    whole_ms = round(seconds * 1000)
    minutes, ms = divmod(whole_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"
