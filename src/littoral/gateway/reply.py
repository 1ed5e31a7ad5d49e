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


def answer(
    date: bytes, request: bytes, route: bytes, *, predicted_s: float, cost: float, rest: bytes
) -> bytes:
    """Build the head of an answer from an engine: which request, where it ran, why, what it costs.

    Args:
        date: The ``date`` line.
        request: The request's id.
        route: Node, endpoint and reason.
        predicted_s: Seconds to its end, as predicted.
        cost: In the platform's currency.
        rest: Further lines, each with its CRLF.
    """
    return (
        b"HTTP/1.1 200 OK\r\n%bx-request-id: %b\r\nrequest-id: %b\r\nx-littoral-route: %b\r\n"
        b"x-littoral-predicted-ms: %d\r\nx-littoral-cost: %.9f\r\n%b\r\n"
        % (date, request, request, route, predicted_s * 1000, cost, rest)
    )


def chunk(payload: bytes) -> bytes:
    """Frame one piece of a stream."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
