"""Fake: an engine without weights, for tests, conformance and trying things out."""

import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast, final

import anyio

from littoral.domain.child import Child, Spawner
from littoral.domain.deployment import Option
from littoral.domain.endpoint import Address, Capability, Endpoint, EngineSpec
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import EndpointId
from littoral.domain.ports import Entropy
from littoral.domain.units import Seconds, Tokens

PROGRAM = (sys.executable, "-m", "littoral", "engine")
SLOTS = 8
CONTEXT = Tokens(8192)
READY_S = Seconds(30.0)
PROBE_S = Seconds(2.0)
CAPABILITIES: tuple[Capability, ...] = (
    "chat",
    "completions",
    "stream",
    "tools",
    "json_schema",
    "logprobs",
    "many_choices",
    "embeddings",
    "rerank",
    "score",
    "moderations",
    "transcriptions",
    "translations",
    "speech",
    "tokenize",
)
OPTIONS: Mapping[str, tuple[type[int | float | bool], float, float]] = {
    "directives": (bool, 0, 1),
    "ttft_ms": (float, 0, 60_000),
    "tpot_ms": (float, 0, 60_000),
}


@final
class FakeInstance:
    """A running fake engine."""

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
class Fake:
    """The driver of engine ``fake``.

    Args:
        spawner: Starts its process.
        entropy: Makes the key of each start.
        logs: Folder for the log of each process.
        environment: Variables that the process gets besides ``PYTHONPATH``.
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
        assignment = spec.assignment
        for name, value in assignment.options.items():
            _check_option(name, value)
        if assignment.slots is not None and not 1 <= assignment.slots <= 4096:
            raise InvalidInput("slots must be 1 to 4096", param="spec.slots")
        if assignment.context is not None and not 16 <= assignment.context <= 10_000_000:
            raise InvalidInput("context must be 16 to 10000000", param="spec.context")

    @asynccontextmanager
    async def launch(self, spec: EngineSpec) -> AsyncGenerator[FakeInstance]:
        """Start it and wait until it answers; leaving the context stops it for good.

        Raises:
            UpstreamFailed: It did not come up; the message ends its log.
        """
        self.check(spec)
        key = self._entropy.bytes(32).hex()
        async with self._spawner.spawn(
            [*self._program, "fake"],
            environment=self._environment,
            line=_line(spec, key),
            log=str(Path(self._logs) / f"engine-{spec.assignment.name}.log"),
            ready_s=READY_S,
        ) as child:
            address = Address(host="127.0.0.1", port=_port(child.ready))
            endpoint = _endpoint(spec, address=address, key=key)
            yield FakeInstance(child, endpoint=endpoint, address=address)


def _check_option(name: str, value: Option) -> None:
    param = f"spec.options.{name}"
    if name not in OPTIONS:
        known = ", ".join(sorted(OPTIONS))
        raise InvalidInput(f"engine fake has no option {name!r}; known: {known}", param=param)
    kind, low, high = OPTIONS[name]
    number = value if isinstance(value, bool | int | float) else -1
    if isinstance(value, bool) != (kind is bool) or not low <= number <= high:
        allowed = "true or false" if kind is bool else f"a number from {low} to {high}"
        raise InvalidInput(f"option {name!r} must be {allowed}, not {value!r}", param=param)


def _line(spec: EngineSpec, key: str) -> bytes:
    assignment = spec.assignment
    context = assignment.context or CONTEXT
    start = {
        "parent": os.getpid(),
        "key": key,
        "model": assignment.serves,
        "slots": assignment.slots or SLOTS,
        "context": context,
        "max_tokens": assignment.max_tokens or context,
        **assignment.options,
    }
    return json.dumps(start).encode()


def _port(ready: bytes) -> int:
    try:
        return int(cast("dict[str, int]", json.loads(ready))["port"])
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamFailed(f"the engine said {ready[:100]!r} instead of its port") from error


def _endpoint(spec: EngineSpec, *, address: Address, key: str) -> Endpoint:
    assignment = spec.assignment
    return Endpoint(
        id=EndpointId(assignment.name),
        deployment=assignment.name,
        serves=assignment.serves,
        engine="fake",
        state="ready",
        address=address,
        credential=key,
        engine_model=assignment.serves,
        slots=assignment.slots or SLOTS,
        context=assignment.context or CONTEXT,
        max_tokens=assignment.max_tokens,
        capabilities=CAPABILITIES,
        price_in=assignment.price_in,
        price_out=assignment.price_out,
    )


async def _answers(address: Address) -> bool:
    with anyio.move_on_after(PROBE_S):
        try:
            async with await anyio.connect_tcp(address.host, address.port) as stream:
                await stream.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return (await stream.receive(64)).startswith(b"HTTP/1.1 200")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            return False
    return False
