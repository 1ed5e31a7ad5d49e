"""LlamaCpp: GGUF models on the CPU, by llama.cpp in a process of its own."""

import importlib.util
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast, final

import anyio

from littoral.domain.child import Child, Spawner
from littoral.domain.deployment import Option
from littoral.domain.endpoint import Address, Capability, Endpoint, EngineSpec
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import EndpointId
from littoral.domain.model import Artefact
from littoral.domain.ports import Entropy
from littoral.domain.units import Seconds, Tokens

PROGRAM = (sys.executable, "-m", "littoral", "engine")
EXTRA = "engine llama_cpp needs: pip install 'littoral[llama]'"
SLOTS, SLOTS_MAX = 4, 256
CONTEXT_MIN, CONTEXT_AIM, CONTEXT_MAX = 64, 2048, 8192
CACHE_SHARE = 0.1
"""Part of the free memory that the key-value cache may take where no context is given."""
READY_S = Seconds(600.0)
PROBE_S = Seconds(2.0)

Range: TypeAlias = tuple[int, int]
OPTIONS: Mapping[str, Range | tuple[str, ...] | type[bool]] = {
    "threads": (1, 512),
    "batch": (32, 8192),
    "micro_batch": (32, 8192),
    "cache_ram_mib": (0, 65_536),
    "flash_attention": ("auto", "on", "off"),
    "cache_prompt": bool,
    "warmup": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the child said when the model was loaded."""

    port: int
    chat: bool
    tools: bool


@final
class LlamaInstance:
    """A running llama.cpp."""

    def __init__(self, child: Child, *, endpoint: Endpoint, address: Address) -> None:
        self._child = child
        self._endpoint = endpoint
        self._address = address

    @property
    def endpoint(self) -> Endpoint:
        """How the gateway reaches it."""
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._child.pid

    async def healthy(self) -> bool:
        """Whether it answers now."""
        return await _answers(self._address)

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        return await self._child.wait()


@final
class LlamaCpp:
    """The driver of engine ``llama_cpp``.

    Args:
        spawner: Starts its process.
        entropy: Makes the key of each start.
        logs: Folder for the log of each process.
        environment: Variables that the process gets besides those of its threads.
        program: What starts an engine's process; the kind comes after it.
    """

    def __init__(
        self,
        *,
        spawner: Spawner,
        entropy: Entropy,
        logs: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._spawner = spawner
        self._entropy = entropy
        self._logs = logs
        self._program = program
        self._environment = {**(environment or {}), "PYTHONPATH": str(Path(__file__).parents[2])}

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise InvalidInput(EXTRA, param="spec.engine")
        assignment = spec.assignment
        for name, value in assignment.options.items():
            _check_option(name, value)
        if assignment.slots is not None and not 1 <= assignment.slots <= SLOTS_MAX:
            raise InvalidInput(f"slots must be 1 to {SLOTS_MAX}", param="spec.slots")
        artefact = _artefact(spec)
        trained = artefact.facts.context
        context = assignment.context
        if context is not None and not CONTEXT_MIN <= context <= trained:
            text = f"context must be {CONTEXT_MIN} to {trained}, what the model was trained for"
            raise InvalidInput(f"{text}; not {context}", param="spec.context")

    @asynccontextmanager
    async def launch(self, spec: EngineSpec) -> AsyncGenerator[LlamaInstance]:
        """Start it and wait until it answers; leaving the context stops it for good.

        Raises:
            UpstreamFailed: It did not come up; the message ends its log.
        """
        self.check(spec)
        key = self._entropy.bytes(32).hex()
        async with self._spawner.spawn(
            [*self._program, "llama_cpp"],
            environment={**self._environment, **thread_environment(spec)},
            line=_line(spec, key),
            log=str(Path(self._logs) / f"engine-{spec.assignment.name}.log"),
            ready_s=READY_S,
        ) as child:
            report = _report(child.ready)
            address = Address(host="127.0.0.1", port=report.port)
            endpoint = _endpoint(spec, address=address, key=key, report=report)
            yield LlamaInstance(child, endpoint=endpoint, address=address)


def thread_environment(spec: EngineSpec) -> dict[str, str]:
    """OpenMP's variables: they count only when they stand before its library is loaded.

    Without spinning, threads sleep at barriers: half the speed on an idle host, many times the
    speed on a busy one.
    """
    threads = {"OMP_NUM_THREADS": str(_threads(spec))}
    return threads if spec.spin else {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"} | threads


def context_of(spec: EngineSpec) -> Tokens:
    """Context of one slot: as given, else what the host's memory allows.

    The largest power of two between 2048 and 8192 whose cache, over all slots, takes at most a
    tenth of the free memory; never more than the model was trained for.
    """
    if spec.assignment.context is not None:
        return spec.assignment.context
    facts = _artefact(spec).facts
    slots = spec.assignment.slots or SLOTS
    room = spec.machine.memory_free * CACHE_SHARE / max(1, slots * facts.kv_bytes_per_token)
    context = CONTEXT_MAX
    while context > CONTEXT_AIM and context > room:
        context //= 2
    return Tokens(min(context, facts.context))


def _check_option(name: str, value: Option) -> None:
    param = f"spec.options.{name}"
    allowed = OPTIONS.get(name)
    match allowed, value:
        case None, _:
            known = ", ".join(sorted(OPTIONS))
            text = f"engine llama_cpp has no option {name!r}; known: {known}"
            raise InvalidInput(text, param=param)
        case type(), bool():
            return
        case (int(low), int(high)), int() if not isinstance(value, bool) and low <= value <= high:
            return
        case (*words,), str() if value in words:
            return
        case type(), _:
            text = "true or false"
        case (int(low), int(high)), _:
            text = f"a whole number from {low} to {high}"
        case words, _:
            text = "one of " + ", ".join(str(word) for word in words)
    raise InvalidInput(f"option {name!r} must be {text}, not {value!r}", param=param)


def _artefact(spec: EngineSpec) -> Artefact:
    artefact = spec.assignment.artefact
    if artefact is None or spec.artefact_path is None:
        raise InvalidInput(
            f"model {spec.assignment.model!r} has no weights here yet", param="spec.model"
        )
    return artefact


def _threads(spec: EngineSpec) -> int:
    return int(spec.assignment.options.get("threads", max(1, spec.threads)))


def _line(spec: EngineSpec, key: str) -> bytes:
    assignment = spec.assignment
    start = {
        **assignment.options,
        "parent": os.getpid(),
        "key": key,
        "model": spec.artefact_path,
        "alias": assignment.serves,
        "slots": assignment.slots or SLOTS,
        "context": context_of(spec),
        "threads": _threads(spec),
        "template": _artefact(spec).chat_template or "",
    }
    return json.dumps(start).encode()


def _report(ready: bytes) -> Report:
    try:
        said = cast("dict[str, int]", json.loads(ready))
        return Report(port=said["port"], chat=bool(said["chat"]), tools=bool(said["tools"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamFailed(f"the engine said {ready[:100]!r} instead of its port") from error


def _endpoint(spec: EngineSpec, *, address: Address, key: str, report: Report) -> Endpoint:
    assignment = spec.assignment
    return Endpoint(
        id=EndpointId(assignment.name),
        deployment=assignment.name,
        serves=assignment.serves,
        engine="llama_cpp",
        state="ready",
        address=address,
        credential=key,
        engine_model=assignment.serves,
        slots=assignment.slots or SLOTS,
        context=context_of(spec),
        max_tokens=assignment.max_tokens,
        capabilities=_capabilities(report),
        price_in=assignment.price_in,
        price_out=assignment.price_out,
    )


def _capabilities(report: Report) -> tuple[Capability, ...]:
    """Several choices are left out: the engine then reports the usage of one of them only."""
    found: list[Capability] = ["completions", "stream", "json_schema", "logprobs"]
    if report.chat:
        found.append("chat")
    if report.chat and report.tools:
        found.append("tools")
    return tuple(found)


async def _answers(address: Address) -> bool:
    with anyio.move_on_after(PROBE_S):
        try:
            async with await anyio.connect_tcp(address.host, address.port) as stream:
                await stream.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return (await stream.receive(64)).startswith(b"HTTP/1.1 200")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            return False
    return False
