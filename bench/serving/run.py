#!/usr/bin/env python3
"""Tokens per second through Littoral against the same engine addressed directly.

One llama.cpp engine is started by the product's own driver. A fresh site gets it as an upstream.
Streams then go to the engine's own port and through the site in turn, in one run; the order within
a pair alternates. Prints medians and their ratio; exit status 1 where a ratio is below --limit.

    make bench-serving
    .venv/bin/python bench/serving/run.py --streams 1,4,8 --rounds 5 --gguf weights.gguf
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.client import HTTPConnection

import anyio

from littoral.app.spawner import Children
from littoral.app.system import SystemEntropy
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.ids import DeploymentName, Digest
from littoral.domain.model import Artefact, Facts
from littoral.domain.units import Bytes, Tokens
from littoral.engines.llama_cpp import LlamaCpp

OUT = pathlib.Path(__file__).parents[1] / "out" / "serving.json"
TOPICS = ("tides", "bread", "bridges", "clouds", "trains", "glass", "rivers", "clocks")


def littoral(*arguments: str) -> str:
    """Run one command of the product; its output."""
    command = [sys.executable, "-m", "littoral", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed: {done.stderr or done.stdout}")
    return done.stdout


class Path:
    """One way to the engine: where, which model name, which key."""

    def __init__(self, name: str, url: str, *, model: str, key: str) -> None:
        self.name, self.model, self.key = name, model, key
        self.url = urllib.parse.urlsplit(url)

    def stream(self, number: int, tokens: int) -> int:
        """Read one stream to its end; how many tokens the engine says it made."""
        text = f"Write a long story about {TOPICS[number % len(TOPICS)]}, part {number}."
        body = {
            "model": self.model, "max_tokens": tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, "seed": 1,
            "messages": [{"role": "user", "content": text}],
        }  # fmt: skip
        connection = HTTPConnection(self.url.hostname, self.url.port, timeout=300)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        made = 0
        with contextlib.closing(connection):
            path = f"{self.url.path}/chat/completions"
            connection.request("POST", path, body=json.dumps(body), headers=headers)
            reply = connection.getresponse()
            if reply.status != 200:
                sys.exit(f"{self.name} answered {reply.status}: {reply.read()[:300]!r}")
            for line in reply:
                if line.startswith(b"data: {") and b'"usage":{' in line:
                    made = json.loads(line[6:])["usage"]["completion_tokens"]
        return made

    def rate(self, streams: int, tokens: int, *, first: int) -> float:
        """Tokens per second of ``streams`` parallel streams, two requests each."""
        made: list[int] = []

        def work(worker: int) -> None:
            made.extend(self.stream(first + worker * 2 + turn, tokens) for turn in range(2))

        crew = [threading.Thread(target=work, args=(i,)) for i in range(streams)]
        began = time.perf_counter()
        for each in crew:
            each.start()
        for each in crew:
            each.join()
        return sum(made) / (time.perf_counter() - began)


def spec_of(weights: str, slots: int) -> EngineSpec:
    """The engine as a node would start it."""
    facts = Facts(
        architecture="llama", parameters=0, context=2048, layers=0,
        kv_bytes_per_token=Bytes(0), quantisation="", has_chat_template=True,
    )  # fmt: skip
    artefact = Artefact(digest=Digest("sha256:" + "0" * 64), size=Bytes(0), facts=facts)
    assignment = Assignment(
        name=DeploymentName("bench"), revision=1, serves="bench", engine="llama_cpp",
        model="bench", artefact=artefact, slots=slots, context=Tokens(512),
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    machine = Machine(cores=cores, memory=Bytes(8 << 30), memory_free=Bytes(8 << 30))
    return EngineSpec(assignment=assignment, artefact_path=weights, machine=machine, threads=cores)


def register(data: str, port: int, *, address: str, credential: str) -> tuple[Path, Path]:
    """Start a site, tell it of the engine, and return both ways to it."""
    littoral("up", "--detach", "--data-dir", data, "--port", str(port))
    key = pathlib.Path(data, "admin.key").read_text().strip()
    documents = [
        {"kind": "Upstream", "metadata": {"name": "direct"},
         "spec": {"url": address, "credential": credential}},
        {"kind": "Deployment", "metadata": {"name": "bench"},
         "spec": {"engine": "openai", "upstream": "direct", "model": "bench", "slots": 16}},
    ]  # fmt: skip
    manifest = pathlib.Path(data, "bench.yaml")
    manifest.write_text("\n---\n".join(json.dumps(d) for d in documents))
    littoral("apply", "-f", str(manifest), "--data-dir", data)
    ours = Path("littoral", f"http://127.0.0.1:{port}/v1", model="bench", key=key)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(SystemExit, OSError):
            ours.stream(0, 1)
            break
        time.sleep(0.2)
    return Path("direct", address, model="bench", key=credential), ours


def measure(ways: tuple[Path, Path], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Alternate, print, and return medians and ratios."""
    out: dict[str, dict[str, float]] = {}
    for way in ways:
        way.rate(1, 8, first=900)
    for streams in map(int, options.streams.split(",")):
        rates: dict[str, list[float]] = {way.name: [] for way in ways}
        for number in range(options.rounds):
            for way in ways if number % 2 == 0 else ways[::-1]:
                rates[way.name].append(way.rate(streams, options.tokens, first=number * 100))
        direct, ours = (statistics.median(rates[way.name]) for way in ways)
        pairs = [b / a for a, b in zip(*(rates[way.name] for way in ways), strict=True)]
        ratio = statistics.median(pairs)
        out[f"streams_{streams}"] = {
            "direct": round(direct, 2), "littoral": round(ours, 2), "ratio": round(ratio, 4),
            "ratio_min": round(min(pairs), 4), "ratio_max": round(max(pairs), 4),
        }  # fmt: skip
        print(f"{streams:>8} {direct:>12.1f} {ours:>12.1f} {ratio:>8.3f}"
              f"   [{min(pairs):.3f}, {max(pairs):.3f}]", flush=True)  # fmt: skip
    return out


def weights_of(options: argparse.Namespace, data: str, port: int) -> str:
    """The file given, or the default model, fetched by the product itself."""
    if options.gguf:
        return str(options.gguf.resolve())
    littoral("up", "--detach", "--data-dir", data, "--port", str(port))
    littoral("models", "pull", options.model, "--data-dir", data)
    files = [p for p in pathlib.Path(data, "blobs").rglob("*") if p.is_file()]
    return str(max(files, key=lambda p: p.stat().st_size))


def conditions() -> str:
    """The machine, in words."""
    cores = len(os.sched_getaffinity(0))
    version = platform.python_version()
    return f"{cores} cores, {platform.machine()}, Python {version}, load {os.getloadavg()[0]:.1f}"


async def run(options: argparse.Namespace, data: str) -> int:
    """Start everything, measure, write the file."""
    weights = weights_of(options, data, options.port)
    size = await anyio.Path(weights).stat()
    slots = max(map(int, options.streams.split(",")))
    driver = LlamaCpp(spawner=Children(), entropy=SystemEntropy(), logs=data)
    async with driver.launch(spec_of(weights, slots)) as instance:
        address = instance.endpoint.address
        if address is None:
            sys.exit("the engine has no address")
        url = f"http://{address.host}:{address.port}{address.base}"
        ways = register(
            data, options.port, address=url, credential=instance.endpoint.credential or ""
        )
        print(f"{conditions()}, {slots} slots, {options.tokens} tokens a stream, "
              f"{options.rounds} alternating rounds, {size.st_size} bytes of weights")  # fmt: skip
        print(f"{'streams':>8} {'direct t/s':>12} {'littoral t/s':>12} {'ratio':>8}   [min, max]")
        result = await anyio.to_thread.run_sync(measure, ways, options)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote bench/out/{OUT.name}")
    return int(any(row["ratio"] < options.limit for row in result.values()))


def main() -> int:
    """Parse the options, run on a throw-away data directory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m", help="a model of the catalogue")
    parser.add_argument("--gguf", type=pathlib.Path, help="weights on disk, instead of --model")
    parser.add_argument("--streams", default="1,4,8", help="parallel streams, comma separated")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each stream")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--port", type=int, default=18090, help="public port of the site")
    parser.add_argument("--limit", type=float, default=0.95, help="the ratio to reach")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        try:
            return anyio.run(run, options, data)
        finally:
            littoral("down", "--data-dir", data)


if __name__ == "__main__":
    sys.exit(main())
