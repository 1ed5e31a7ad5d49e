#!/usr/bin/env python3
"""Ten times the load that can be served, and 500 streams at once, against a real gateway.

A fresh site serves the fake engine: eight slots, each request holds one for --busy seconds. Clients
come on a schedule that waits for no answer, at 0.5 to 10 times what can be served, each with a
deadline. Goodput is answers within the deadline a second; refusals are timed from the request's
last byte to the answer's first. Prints figures and conditions; exit status 1 where a limit is
missed.

    make bench-overload
    .venv/bin/python bench/overload/run.py --loads 1,10 --seconds 20
"""

import argparse
import asyncio
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from littoral.testing.chance import SeededChance

OUT = pathlib.Path(__file__).parents[1] / "out" / "overload.json"
SLOTS = 8
STREAMS, TOKENS = 500, 40
DEADLINE_S = 2.0
PATH = "/v1/chat/completions"


@dataclass
class Tally:
    """What came of one load."""

    good: int = 0
    late: int = 0
    refused: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)


def littoral(*arguments: str) -> str:
    """Run one command of the product; its output."""
    command = [sys.executable, "-m", "littoral", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed: {done.stderr or done.stdout}")
    return done.stdout


def start(data: str, port: int, busy_s: float) -> str:
    """Start a site with two deployments of the fake engine; the admin key."""
    littoral("up", "--detach", "--data-dir", data, "--port", str(port))
    narrow = {"engine": "fake", "model": "narrow", "slots": SLOTS}
    narrow["options"] = {"ttft_ms": busy_s * 1000, "tpot_ms": 0.0}
    wide = {"engine": "fake", "model": "wide", "slots": 1024}
    wide["options"] = {"ttft_ms": 20.0, "tpot_ms": 50.0}
    documents = [
        {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}
        for name, spec in (("narrow", narrow), ("wide", wide))
    ]
    manifest = pathlib.Path(data, "bench.yaml")
    manifest.write_text("\n---\n".join(json.dumps(d) for d in documents))
    littoral("apply", "-f", str(manifest), "--data-dir", data)
    return pathlib.Path(data, "admin.key").read_text().strip()


class Site:
    """Where requests go, over connections that are used again."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def request(self, fields: dict[str, object], *, deadline_s: float | None = None) -> bytes:
        """One request's bytes."""
        body = json.dumps(fields).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
        if deadline_s is not None:
            head += f"X-Littoral-Deadline-Ms: {int(deadline_s * 1000)}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask(self, data: bytes) -> tuple[int, float, bytes]:
        """Status, seconds to the first byte, and the body, of an answer that is not streamed."""
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = time.perf_counter()
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        took = time.perf_counter() - began
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
        self.idle.append((reader, writer))
        return int(head.split()[1]), took, body

    async def stream(self, data: bytes) -> tuple[int, bool]:
        """How many pieces of content came, and whether the stream ended as it should."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        raw = b""
        while not raw.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(65536)
            if not piece:
                break
            raw += piece
            if not raw.startswith(b"HTTP/1.1 200"):
                break
        writer.close()
        good = b" 200 OK" in raw[:20] and raw.endswith(b"0\r\n\r\n") and raw.count(b"[DONE]") == 1
        return raw.count(b'"content":"'), good


async def load(site: Site, rate: float, *, seconds: float, seed: int) -> Tally:
    """Requests at ``rate`` a second, independent of each other and of the answers."""
    tally, chance, tasks = Tally(), SeededChance(seed), []
    fields = {"model": "narrow", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    data = site.request(fields, deadline_s=DEADLINE_S)
    begin = time.perf_counter()
    due = begin

    async def one(due: float) -> None:
        try:
            status, first_s, _ = await site.ask(data)
        except OSError as error:
            tally.others[type(error).__name__] = tally.others.get(type(error).__name__, 0) + 1
            return
        took = time.perf_counter() - due
        if status == 200:
            tally.times.append(took)
            if took <= DEADLINE_S:
                tally.good += 1
            else:
                tally.late += 1
        elif status == 503:
            tally.refused.append(first_s)
        else:
            tally.others[str(status)] = tally.others.get(str(status), 0) + 1

    while due < begin + seconds:
        now = time.perf_counter()
        if due > now:
            await asyncio.sleep(due - now)
        tasks.append(asyncio.ensure_future(one(due)))
        due -= math.log(1.0 - chance.random()) / rate
    await asyncio.gather(*tasks)
    return tally


def quantile(values: list[float], share: float) -> float:
    """In milliseconds; 0 of none."""
    return round(sorted(values)[int(share * (len(values) - 1))] * 1000, 2) if values else 0.0


async def overload(site: Site, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every load in turn, after a warm-up from which the gateway learns what a request takes."""
    capacity = SLOTS / options.busy
    await load(site, 0.5 * capacity, seconds=max(5.0, 30 * options.busy), seed=0)
    out = {}
    for number, times in enumerate(map(float, options.loads.split(",")), 1):
        tally = await load(site, times * capacity, seconds=options.seconds, seed=number)
        figures = {
            "goodput": round(tally.good / options.seconds / capacity, 4), "late": tally.late,
            "refused": len(tally.refused), "others": sum(tally.others.values()),
            "admitted_p99_ms": quantile(tally.times, 0.99),
            "refusal_p50_ms": quantile(tally.refused, 0.5),
            "refusal_p99_ms": quantile(tally.refused, 0.99),
        }  # fmt: skip
        print(f"  {times:4g} x  {figures}  {tally.others or ''}", flush=True)
        out[f"{times:g}"] = figures
        await asyncio.sleep(2.0)
    return out


async def streams(site: Site) -> dict[str, float]:
    """Many streams at one time."""
    fields = {
        "model": "wide", "max_tokens": TOKENS, "stream": True,
        "messages": [{"role": "user", "content": "tell me a long story"}],
    }  # fmt: skip
    began = time.perf_counter()
    data = site.request(fields)
    found = await asyncio.gather(*(site.stream(data) for _ in range(STREAMS)))
    bad = sum(not good for _, good in found)
    pieces = [count for count, _ in found]
    took = time.perf_counter() - began
    return {
        "streams": STREAMS, "bad": bad, "pieces_min": min(pieces), "pieces_max": max(pieces),
        "seconds": round(took, 2),
    }  # fmt: skip


def memory_mb(port: int) -> float:
    """Resident memory of the process that listens there, MB."""
    table = subprocess.run(
        ["/usr/bin/env", "ss", "-ltnpH"], capture_output=True, text=True, check=False
    ).stdout
    pids = [
        part.split(",")[0] for line in table.splitlines() if f":{port} " in line
        for part in line.split("pid=")[1:]
    ]  # fmt: skip
    sizes = [
        int(line.split()[1]) / 1024
        for pid in set(pids)
        for line in pathlib.Path("/proc", pid, "status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return round(max(sizes, default=0.0), 1)


async def measure(site: Site, options: argparse.Namespace) -> dict[str, object]:
    """All figures."""
    print(f"{SLOTS} slots, {options.busy} s a request, deadline {DEADLINE_S} s", flush=True)
    before = memory_mb(site.port)
    loads = await overload(site, options)
    after = memory_mb(site.port)
    many = await streams(site)
    print(f"  {many}\n  memory of the gateway: {before} -> {after} MB")
    return {"loads": loads, "streams": many, "rss_mb": [before, after]}


def main() -> int:
    """Measure, print, judge."""
    p = argparse.ArgumentParser()
    p.add_argument("--loads", default="0.5,1,2,5,10")
    p.add_argument("--seconds", type=float, default=15.0)
    p.add_argument("--busy", type=float, default=0.1)
    p.add_argument("--port", type=int, default=18431)
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as data:
        try:
            key = start(data, options.port, options.busy)
            time.sleep(3.0)
            found = asyncio.run(measure(Site(options.port, key), options))
        finally:
            littoral("down", "--data-dir", data)
    cores = len(os.sched_getaffinity(0))
    found["conditions"] = {
        "cores": cores,
        "load": os.getloadavg(),
        "python": sys.version.split()[0],
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1))
    loads = found["loads"]
    best = max(each["goodput"] for each in loads.values())
    most = loads[max(loads, key=float)]
    ratio, refusal = most["goodput"] / best, most["refusal_p50_ms"]
    print(
        f"goodput at the highest load / best: {ratio:.3f} (>= 0.9); refusal p50 {refusal} ms (<= 5)"
    )
    print(f"load average {statistics.mean(os.getloadavg()):.1f} on {cores} cores")
    return int(ratio < 0.9 or refusal > 5.0 or found["streams"]["bad"] > 0)


if __name__ == "__main__":
    sys.exit(main())
