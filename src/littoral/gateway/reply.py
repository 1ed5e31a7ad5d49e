"""Replies: heads of our own, never the engine's."""

from http import HTTPStatus
from typing import Final

_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus
}
JSON: Final = b"content-type: application/json\r\n"
STREAM: Final = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final = b"connection: close\r\n"
ESTIMATED: Final = b"x-littoral-estimated: input_tokens\r\n"
"""With a count that no engine made."""


_STORY: Final = (
    b"HTTP/1.1 200 OK\r\n%bx-request-id: %b\r\nrequest-id: %b\r\nx-littoral-route: %b%b\r\n"
    b"x-littoral-predicted-ms: %d\r\nx-littoral-cost: %.9f\r\n%b"
)
STREAMED: Final = _STORY + b"%b\r\n"
"""Head of a stream: the date line, the id twice, route, reason, predicted ms, cost, more lines,
and the lines of a stream."""
WHOLE: Final = _STORY + b"content-type: %b\r\ncontent-length: %d\r\n\r\n"
"""Head of a reply that is not streamed: the same, with its media type and its length at the end."""


def named(rid: bytes, *, retry_after_s: float | None = None) -> bytes:
    """Header lines of an answer of our own: JSON, the request's id, and when to try again."""
    lines = JSON + of(rid)
    if retry_after_s is None:
        return lines
    wait_ms = max(int(retry_after_s * 1000), 1)
    return lines + b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (-(-wait_ms // 1000), wait_ms)


def of(rid: bytes) -> bytes:
    """Header lines that say which request was answered."""
    return b"x-request-id: %b\r\nrequest-id: %b\r\n" % (rid, rid)


def line_of(status: int) -> bytes:
    """The status line."""
    return _LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def head(status: int, date: bytes, fields: bytes, *, length: int | None, close: bool) -> bytes:
    """Build a head.

    Args:
        status: Its code.
        date: The ``date`` line, renewed each second.
        fields: Further lines, each with its CRLF.
        length: Bytes of the body; None where it is chunked (then ``fields`` says so).
        close: Whether the connection ends after it.
    """
    size = b"" if length is None else b"content-length: %d\r\n" % length
    return b"%b%b%b%b%b\r\n" % (line_of(status), date, fields, size, CLOSE if close else b"")


def chunk(payload: bytes) -> bytes:
    """Frame one piece of a stream."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
