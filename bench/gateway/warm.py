#!/usr/bin/env python3
"""The Python part of one warm request: both protocols on fake transports, no sockets.

    .venv/bin/python bench/gateway/warm.py [--profile] [--limits none|rate|all]

Prints microseconds a request (best of rounds) and their ratio to a calibration loop of the same
process, which moves less from machine to machine than the microseconds do.
"""

import argparse
import cProfile
import json
import pstats
import time
from collections.abc import Callable
from typing import Any

from node import MODEL, RATE, SLOTS, endpoint, endpoints, keyed, tables

from littoral.app.system import SystemClock, SystemEntropy
from littoral.domain.flight import SLOT_BYTES
from littoral.domain.limits import NO_LIMITS, Budget, Limits
from littoral.gateway.quota import Quotas
from littoral.gateway.settlement import Flights
from littoral.gateway.wire.server import Client
from littoral.gateway.wire.upstream import Engine
from littoral.gateway.wire.worker import Worker
from littoral.testing.quota import bound_whole, quota_table

REPLY = (
    b'{"id":"chatcmpl-abc123abc123","object":"chat.completion","created":1760000000,"model":"m",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over'
    b" the lazy dog while a small language model running on an edge device answers the question and"
    b' the cloud keeps the ledger.","refusal":null,"annotations":[]},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":57,"completion_tokens":64,'
    b'"total_tokens":121},"system_fingerprint":null}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: mock\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(REPLY), REPLY)
)


class Pipe:
    """A transport that keeps nothing."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Keep the last piece."""
        self.written = data

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Nothing is buffered."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing to cut."""

    close = resume_reading = pause_reading = abort


class Still:
    """A loop that runs nothing."""

    def call_later(self, *_: object) -> None:
        """Reports are not sent here."""

    call_soon = call_later


LIMITS = {
    "none": NO_LIMITS,
    "rate": RATE,
    "all": Limits(
        requests_per_minute=60_000_000,
        tokens_per_minute=60_000_000_000,
        concurrent=4096,
        budget=Budget(amount=1e9),
    ),
}


def prepare(limits: str) -> tuple[Worker, Client, Engine, Engine, bytes]:
    """A worker with one client and a warm connection to each of two endpoints."""
    loop: Any = Still()
    flights = Flights(memoryview(bytearray(SLOT_BYTES * SLOTS)))
    quota = quota_table()
    worker = Worker(
        loop,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        flights=flights,
        quotas=Quotas(quota),
        node="bench",
        control_socket="",
    )
    key, grant = keyed()
    told = tables([grant], limits=LIMITS[limits])
    bound_whole(quota, told.snapshot.limits, told.rows)
    worker.source.take_snapshot(told.snapshot, told.rows)
    worker.source.take_endpoints(endpoints(endpoint("e1", 1), endpoint("e2", 1)).endpoints)
    engines = []
    for place in worker.source.places():
        pool = worker.pool(place)
        engine = Engine(pool, None, b"")
        transport: Any = Pipe()
        engine.transport = transport
        pool.push(engine, worker.now)
        engines.append(engine)
    client = Client(worker)
    pipe: Any = Pipe()
    client.connection_made(pipe)
    ask = "Explain in one sentence where a request is served and what it writes to the ledger. "
    system = "You are a helpful assistant at the edge. Answer briefly and precisely."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": ask * 2}]
    fields = {"model": MODEL, "messages": messages, "max_tokens": 64, "temperature": 0.7}
    body = json.dumps(fields, separators=(",", ":")).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer "
        f"{key}\r\nAccept: */*\r\nContent-Type: application/json\r\nUser-Agent: loadgen\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return worker, client, *engines, head + body


def requests(count: int, limits: str) -> Callable[[], None]:
    """A function that serves ``count`` requests."""
    worker, client, one, two, request = prepare(limits)
    flights = worker.flights

    def serve() -> None:
        for number in range(count):
            client.data_received(request)
            engine = one if one.owner is not None else two
            engine.data_received(ANSWER)
            if not number & 255:
                worker.tick()
                for each in (one, two):
                    each.idle_since = worker.now
                flights.free(flights.report())

    return serve


def calibration(count: int) -> float:
    """Seconds for dict reads and byte formats, as a measure of this machine's Python."""
    table = {b"k%d" % i: i for i in range(64)}
    start = time.process_time()
    for number in range(count):
        table.get(b"k%d" % (number & 63))
    return time.process_time() - start


def main() -> None:
    """Print the figures."""
    p = argparse.ArgumentParser()
    p.add_argument("--profile", action="store_true")
    p.add_argument("--limits", choices=sorted(LIMITS), default="rate")
    p.add_argument("--requests", type=int, default=20_000)
    args = p.parse_args()
    serve = requests(args.requests, args.limits)
    serve()
    if args.profile:
        with cProfile.Profile() as profile:
            serve()
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    best = slow = float("inf")
    for _ in range(9):
        start = time.process_time()
        serve()
        best = min(best, time.process_time() - start)
        slow = min(slow, calibration(100_000))
    per = best / args.requests * 1e6
    print(
        f"{per:.1f} us a request; {per / (slow * 10):.1f} calibration steps of {slow * 10:.3f} us"
    )


if __name__ == "__main__":
    main()
