"""``littoral screen``: the process that redacts long bodies for one gateway."""

import socket

from littoral.gateway.guard import redacted
from littoral.gateway.wire.screener import HEAD


def main() -> int:
    """Answer frame after frame on standard input's socket until the gateway is gone."""
    with socket.socket(fileno=0) as line:
        serve(line)
    return 0


def serve(line: socket.socket) -> None:
    """Answer frame after frame until the other end is closed."""
    while head := _read(line, HEAD):
        size, mask = int.from_bytes(head[:4], "big"), head[4]
        answer, status = _answer(_read(line, size), mask)
        line.sendall(len(answer).to_bytes(4, "big") + bytes([status]) + answer)


def _answer(data: bytes, mask: int) -> tuple[bytes, int]:
    try:
        return redacted(data, mask), 0
    except ValueError as error:
        return str(error).encode("utf-8", "replace"), 1


def _read(line: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes; none once the other end is closed."""
    data = bytearray()
    while len(data) < size:
        piece = line.recv(min(size - len(data), 1 << 20))
        if not piece:
            return b""
        data += piece
    return bytes(data)
