#!/usr/bin/env python3
"""Memory under input that nobody should send: does a gateway that is fed rubbish grow?

A fresh site serves the fake engine. A seeded corpus is sent in blocks of equal size to every path
of the data plane: good requests, junk in any field, bent bytes, heads that are no HTTP, clients
that leave in the middle of a head, a body or a stream, and realtime sessions cut off while they
speak. After each block the proportional set size of every process is read. Prints it, and what it
grew by from the middle third of the blocks to the last, when all that is kept on purpose is full;
exit status 1 where the gateway grew by more than --most MB, hung or gave a 5xx.

    make bench-memory
    .venv/bin/python bench/memory/run.py --blocks 30 --requests 2000
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter

from littoral.domain.ports import Chance
from littoral.gateway.openapi import ASKED
from littoral.testing.chance import SeededChance
from littoral.trust.form import SEPARATOR, Part, build

OUT = pathlib.Path(__file__).parents[1] / "out" / "memory.json"
AT_ONCE = 8
PATIENCE_S = 20.0
TEXT = {"role": "user", "content": "hi"}
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": [TEXT], "stream": True},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [TEXT], "max_tokens": 3},
    "/v1/messages/count_tokens": {"messages": [TEXT]},
    "/v1/embeddings": {"input": "hi"},
    "/v1/rerank": {"query": "q", "documents": ["d"]},
    "/v2/rerank": {"query": "q", "documents": ["d"]},
    "/v1/score": {"text_1": "a", "text_2": "b"},
    "/v1/moderations": {"input": "hi"},
    "/v1/decisions": {"input": "hi", "questions": [{"type": "predicate", "instructions": "x"}]},
    "/v1/audio/speech": {"input": "hi", "voice": "alloy", "response_format": "wav"},
    "/tokenize": {"prompt": "hi"},
    "/detokenize": {"tokens": [1]},
    "/api/chat": {"messages": [TEXT]},
    "/api/generate": {"prompt": "hi"},
    "/api/embed": {"input": "hi"},
    "/api/embeddings": {"prompt": "hi"},
}
FORM = build([Part(name="model", data=b"echo"), Part(name="file", data=b"x" * 9000, filename="a")])
JUNK: tuple[object, ...] = (
    None, True, -1, 1 << 70, 0.5, "", "\ud800", "x" * 5000, [], {}, [[]], [None] * 50,
    {"type": "image_url"}, [{"type": "text", "text": 1}], {"x": {"x": {"x": {}}}}, ["a", 1, {}],
)  # fmt: skip
FIELDS = ("stream", "n", "tools", "stop", "top_n", "seed", "response_format", "unknown", "model")
RAW = (
    b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\r\n" * 50, b"\0" * 500, b"A" * 70_000,
    b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 300 + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip


def littoral(*arguments: str) -> None:
    """Run one command of the product."""
    command = [sys.executable, "-m", "littoral", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed: {done.stderr or done.stdout}")


def start(data: str, port: int) -> str:
    """Start a site with the fake engine; the admin key."""
    littoral("up", "--detach", "--data-dir", data, "--port", str(port))
    spec = {"engine": "fake", "model": "echo", "slots": 64}
    document = {"kind": "Deployment", "metadata": {"name": "echo"}, "spec": spec}
    manifest = pathlib.Path(data, "bench.yaml")
    manifest.write_text(json.dumps(document))
    littoral("apply", "-f", str(manifest), "--data-dir", data)
    return pathlib.Path(data, "admin.key").read_text().strip()


class Corpus:
    """Requests, the same ones for the same seed.

    Args:
        key: The site's.
        chance: What comes next.
    """

    def __init__(self, key: str, chance: Chance) -> None:
        self.key = key
        self.chance = chance
        self.paths = sorted(ASKED)

    def pick(self, count: int) -> int:
        """One of so many."""
        return int(self.chance.random() * count)

    def head(self, path: str, size: int, media: str = "application/json") -> bytes:
        """A head of a POST."""
        lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
        lines += "Connection: close\r\n"
        return f"{lines}Content-Type: {media}\r\nContent-Length: {size}\r\n\r\n".encode()

    def next(self) -> tuple[bytes, bool]:
        """A request's bytes, and whether its client leaves before it is answered."""
        kind = self.pick(100)
        if kind < 10:
            return RAW[self.pick(len(RAW))], True
        path = self.paths[self.pick(len(self.paths))]
        if path not in BODIES:
            media = f"multipart/form-data; boundary={SEPARATOR.decode()}"
            return self.bent(path, FORM, kind, media=media)
        fields = {"model": "echo", **BODIES[path]}
        if kind < 60:
            names = [*fields, *FIELDS]
            for _ in range(1 + self.pick(3)):
                fields[names[self.pick(len(names))]] = JUNK[self.pick(len(JUNK))]
        return self.bent(path, json.dumps(fields).encode(), kind)

    def bent(
        self, path: str, body: bytes, kind: int, *, media: str = "application/json"
    ) -> tuple[bytes, bool]:
        """A body of which some bytes are others, in a request that may be cut."""
        if 60 <= kind < 80:
            at = self.pick(len(body))
            body = body[:at] + bytes(self.pick(256) for _ in range(self.pick(20))) + body[at + 5 :]
        whole = self.head(path, len(body), media) + body
        if kind < 92:
            return whole, False
        return whole[: len(whole) - self.pick(len(body)) * (kind % 2)], True


async def ask(port: int, data: bytes, *, leaves: bool) -> str:
    """Send, read what comes, hang up; the status, or what happened instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if leaves:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.read(64)
            return "left"
        first = await reader.read(64)
        while first and await reader.read(65_536):
            if reader.at_eof():
                break
        return first[9:12].decode("ascii", "replace") if first else "closed"
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()


async def speak(port: int, key: str) -> str:
    """A realtime session that is cut off while sound waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = f"GET /v1/realtime?model=echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    nonce = base64.b64encode(bytes(16)).decode()
    lines += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    writer.write(f"{lines}Sec-WebSocket-Key: {nonce}\r\n\r\n".encode())
    status = (await reader.read(64))[9:12].decode()
    sound = base64.b64encode(bytes(30_000)).decode()
    text = json.dumps({"type": "input_audio_buffer.append", "audio": sound}).encode()
    writer.write(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
    await asyncio.sleep(0.005)
    writer.transport.abort()
    return status


async def block(port: int, corpus: Corpus, count: int) -> Counter[str]:
    """So many requests, a few at a time."""
    found: Counter[str] = Counter()

    async def one() -> None:
        for _ in range(count // AT_ONCE):
            if corpus.pick(50) == 0:
                found[await speak(port, corpus.key)] += 1
                continue
            data, leaves = corpus.next()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    found[await ask(port, data, leaves=leaves)] += 1
            except TimeoutError:
                found["hung"] += 1

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return found


def sizes(data: str) -> dict[str, float]:
    """Proportional set size of each process of the site, MB."""
    status = json.loads(pathlib.Path(data, "run/status.json").read_text())
    found: dict[str, float] = {}
    for row in status["processes"]:
        with contextlib.suppress(OSError, TypeError):
            text = pathlib.Path("/proc", str(row["pid"]), "smaps_rollup").read_text()
            size = next(line for line in text.splitlines() if line.startswith("Pss:"))
            found[row["role"]] = round(int(size.split()[1]) / 1024, 2)
    return found


async def measure(data: str, key: str, options: argparse.Namespace) -> dict[str, object]:
    """Every block, and the sizes after it; the first third is the warm-up."""
    corpus = Corpus(key, SeededChance(options.seed))
    rows: list[dict[str, float]] = []
    answers: Counter[str] = Counter()
    for number in range(options.blocks):
        began = time.perf_counter()
        found = await block(options.port, corpus, options.requests)
        answers += found
        await asyncio.sleep(1.0)
        rows.append(sizes(data))
        rate = options.requests / (time.perf_counter() - began - 1.0)
        print(f"  {number:3}  {rows[-1]}  {rate:.0f} requests/s", flush=True)
    return {"answers": dict(answers), "pss_mb": rows}


def growth_of(rows: list[dict[str, float]], role: str) -> float:
    """Median of the last third of the blocks less that of the middle one, MB."""
    values = [row[role] for row in rows if role in row]
    third = max(1, len(values) // 3)
    middle, last = values[-2 * third : -third], values[-third:]
    return round(statistics.median(last) - statistics.median(middle), 2)


def main() -> int:
    """Measure, print, judge."""
    p = argparse.ArgumentParser()
    p.add_argument("--blocks", type=int, default=30)
    p.add_argument("--requests", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--most", type=float, default=1.0)
    p.add_argument("--port", type=int, default=18441)
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as data:
        try:
            key = start(data, options.port)
            time.sleep(2.0)
            found = asyncio.run(measure(data, key, options))
        finally:
            littoral("down", "--data-dir", data)
    rows = found["pss_mb"]
    grown = {role: growth_of(rows, role) for role in rows[-1]}
    answers = found["answers"]
    bad = {name: count for name, count in answers.items() if name[0] == "5" or name == "hung"}
    found |= {"growth_mb": grown, "conditions": {"load": os.getloadavg(), "python": sys.version}}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1))
    print(f"answers: {dict(sorted(answers.items()))}")
    count = options.blocks * options.requests
    print(f"growth from the middle to the last third of {count} requests, MB: {grown}")
    return int(grown["gateway"] > options.most or bool(bad))


if __name__ == "__main__":
    sys.exit(main())
