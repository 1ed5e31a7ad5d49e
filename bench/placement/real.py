"""Two engines as unlike nodes: one on each core, a link before one, other load beside the other."""

import asyncio
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from littoral.app.spawner import Children
from littoral.app.system import SystemEntropy
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.ids import DeploymentName, Digest
from littoral.domain.model import Artefact, Facts
from littoral.domain.units import Bytes, Tokens
from littoral.engines.llama_cpp import LlamaCpp

CONTEXT = 512
WORDS = (
    "river",
    "bread",
    "cloud",
    "glass",
    "train",
    "clock",
    "bridge",
    "stone",
    "paper",
    "light",
    "water",
    "green",
    "small",
    "house",
    "night",
    "field",
    "horse",
    "table",
    "chair",
    "music",
    "winter",
    "summer",
    "garden",
    "window",
    "market",
    "letter",
    "number",
    "silver",
    "copper",
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: where it answers, as which process, on which core."""

    host: str
    port: int
    credential: str
    pid: int
    core: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request took, seconds, and its tokens as the engine counted them."""

    first_s: float
    total_s: float
    tokens_in: int
    tokens_out: int


@asynccontextmanager
async def serving(weights: str, *, slots: int, core: int, logs: str) -> AsyncIterator[Engine]:
    """Start an engine by the product's own driver, with one thread, on one core."""
    mine = os.sched_getaffinity(0)
    facts = Facts(
        architecture="llama", parameters=0, context=2048, layers=0,
        kv_bytes_per_token=Bytes(0), quantisation="", has_chat_template=True,
    )  # fmt: skip
    artefact = Artefact(digest=Digest("sha256:" + "0" * 64), size=Bytes(0), facts=facts)
    assignment = Assignment(
        name=DeploymentName("bench"), revision=1, serves="bench", engine="llama_cpp",
        model="bench", artefact=artefact, slots=slots, context=Tokens(CONTEXT),
    )  # fmt: skip
    machine = Machine(cores=1, memory=Bytes(8 << 30), memory_free=Bytes(8 << 30))
    spec = EngineSpec(assignment=assignment, artefact_path=weights, machine=machine, threads=1)
    driver = LlamaCpp(spawner=Children(), entropy=SystemEntropy(), logs=logs)
    os.sched_setaffinity(0, {core})
    try:
        async with driver.launch(spec) as instance:
            os.sched_setaffinity(0, mine)
            address = instance.endpoint.address
            if address is None or instance.pid is None:
                sys.exit("the engine has no address")
            credential = instance.endpoint.credential or ""
            yield Engine(address.host, address.port, credential, instance.pid, core)
    finally:
        os.sched_setaffinity(0, mine)


def prompt(tokens: int, seed: int) -> str:
    """Text of about so many tokens that no other request shares a beginning with."""
    chance = random.Random(seed)  # noqa: S311  text, not secrets
    return " ".join(chance.choice(WORDS) for _ in range(max(1, tokens)))


async def ask(engine: Engine, *, tokens_in: int, tokens_out: int, seed: int) -> Answer:
    """Stream one completion of exactly ``tokens_out`` tokens.

    Raises:
        OSError: The engine answered otherwise, or not to the end.
    """
    body = json.dumps({
        "model": "bench", "prompt": prompt(tokens_in, seed), "max_tokens": tokens_out,
        "temperature": 0, "stream": True, "ignore_eos": True, "cache_prompt": False,
        "stream_options": {"include_usage": True},
    }).encode()  # fmt: skip
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {engine.host}\r\nconnection: close\r\n"
        f"authorization: Bearer {engine.credential}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(engine.host, engine.port)
    try:
        writer.write(head.encode() + body)
        return await _read(reader, began)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, began: float) -> Answer:
    first, used = 0.0, {}
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if not first and event.get("choices"):
            first = time.monotonic() - began
        used = event.get("usage") or used
        if used and not event.get("choices"):
            break
    if not first or not used:
        raise OSError("the engine did not answer to the end")
    total = time.monotonic() - began
    return Answer(first, total, used["prompt_tokens"], used["completion_tokens"])


class Spinner:
    """Other load: a process that wants one core whole, and stands still until it is let go."""

    def __init__(self, core: int) -> None:
        code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
        self._process = subprocess.Popen([sys.executable, "-c", code])
        self.on = True
        self.turn(on=False)

    def turn(self, *, on: bool) -> None:
        """Let it run, or stop it."""
        if on != self.on:
            self._process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
            self.on = on

    def end(self) -> None:
        """Be rid of it."""
        self._process.kill()
        self._process.wait()


def model_of(data: str, name: str) -> str:
    """Weights by the product itself: pulled into a folder of their own; the largest file there."""
    files = [p for p in pathlib.Path(data, "blobs").rglob("*") if p.is_file()]
    if not files:
        steps = (("up", "--detach", "--port", "18093"), ("models", "pull", name), ("down",))
        for step in steps:
            command = [sys.executable, "-m", "littoral", *step, "--data-dir", data]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"littoral {' '.join(step)} failed: {done.stderr or done.stdout}")
        files = [p for p in pathlib.Path(data, "blobs").rglob("*") if p.is_file()]
    return str(max(files, key=lambda p: p.stat().st_size))
