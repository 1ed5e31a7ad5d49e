"""Ollama's errors and streams: lines of JSON."""

from typing import Final, final

import msgspec

from littoral.gateway.refusal import Refusal

_ENCODE: Final = msgspec.json.Encoder().encode
_LINES: Final = (
    b"content-type: application/x-ndjson\r\ncache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
)


def error_body(refusal: Refusal, request: str) -> bytes:
    """Encode an error; the request's id stands in the head."""
    del request
    return _ENCODE({"error": refusal.message})


def error_event(refusal: Refusal, request: str) -> bytes:
    """Encode an error as the last line of a stream."""
    return error_body(refusal, request) + b"\n"


@final
class Ollama:
    """The voice of Ollama's API."""

    streams = _LINES
    error_body = staticmethod(error_body)
    error_event = staticmethod(error_event)


OLLAMA: Final = Ollama()
