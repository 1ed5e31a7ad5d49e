#!/usr/bin/env python3
"""A service with a known latency: it answers after times of its own choice and writes them down.

Each request's times are drawn from its body alone (same body, same times): the first token after
20 to 400 ms, the rest 2 to 30 ms apart. The truth is not what was drawn but what was done: the
clock is read when the whole request has been read, after the first and after the last write.

    python bench/loadgen/server.py          # prints its port; GET /truth, GET /reset
"""

import asyncio
import json
import random
import sys
import time
import zlib

import uvloop

TRUTH: list[tuple[float, float]] = []
"""Seconds from the whole request to the first and to the last write, of each answer."""
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
LAST = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}\n\n'
    b"data: [DONE]\n\n"
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def times(body: bytes, tokens: int) -> list[float]:
    """When each token is written, seconds after the request: decided by the body alone."""
    draw = random.Random(zlib.crc32(body))  # noqa: S311  no secret
    first = min(0.400, max(0.020, draw.lognormvariate(-2.3, 0.5)))
    at = [first]
    for _ in range(tokens - 1):
        at.append(at[-1] + draw.uniform(0.002, 0.030))
    return at


class Service(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep it."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self.buffer += data
        head, mark, rest = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(rest) < int(length or 0):
            return
        began = time.monotonic()
        self.buffer = b""
        if head.startswith(b"POST"):
            self.answer(rest, began)
        else:
            self.control(head.split()[1])

    def control(self, path: bytes) -> None:
        """What the benchmark itself asks for."""
        answer: object = {"data": [{"id": "known"}]}
        if path == b"/truth":
            answer = TRUTH
        elif path == b"/reset":
            TRUTH.clear()
        data = json.dumps(answer).encode()
        self.transport.write(WHOLE % len(data) + data)

    def answer(self, body: bytes, began: float) -> None:
        """Plan every write of one answer."""
        asked = json.loads(body)
        tokens = asked.get("max_tokens", 1)
        size = len(asked["messages"][0]["content"].split()) + 8
        at = times(body, tokens)
        if asked.get("stream"):
            self.transport.write(STREAM)
            for number, moment in enumerate(at):
                last = LAST % (size, tokens) if number + 1 == len(at) else b""
                self.loop.call_at(self.loop.time() + moment, self.token, began, number == 0, last)
        else:
            self.loop.call_later(at[-1], self.whole, began, size, tokens)

    def token(self, began: float, is_first: bool, last: bytes) -> None:  # noqa: FBT001
        """Write one token, the last one with the end of the answer."""
        self.transport.write(chunk(EVENT) + (chunk(last) + b"0\r\n\r\n" if last else b""))
        now = time.monotonic() - began
        if is_first:
            self.first = now
        if last:
            TRUTH.append((self.first, now))

    def whole(self, began: float, size: int, tokens: int) -> None:
        """Write an answer in one piece."""
        answer = {
            "choices": [{"message": {"content": "word " * tokens}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": size, "completion_tokens": tokens},
        }
        data = json.dumps(answer).encode()
        self.transport.write(WHOLE % len(data) + data)
        now = time.monotonic() - began
        TRUTH.append((now, now))


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install() if sys.version_info < (3, 12) else None
    asyncio.run(main())
