"""ProcessDriver: what all drivers of engines with a process of their own have in common."""

import importlib.util
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeAlias, cast, final

import anyio

from littoral.domain.child import Child, Spawner
from littoral.domain.deployment import FORMATS, EngineKind, Option
from littoral.domain.endpoint import Address, Capability, Endpoint, EngineSpec
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import EndpointId
from littoral.domain.model import Artefact
from littoral.domain.ports import Entropy
from littoral.domain.units import Seconds, Tokens

PROGRAM = (sys.executable, "-m", "littoral", "engine")
READY_S = Seconds(600.0)
PROBE_S = Seconds(10.0)
SLOTS_MAX = 256
CONTEXT_MIN = 64
"""Fewest tokens of context that a deployment may ask for."""

Range: TypeAlias = tuple[int, int]
Span: TypeAlias = tuple[float, float]
Allowed: TypeAlias = Range | Span | tuple[str, ...] | type[bool] | type[str]
"""Whole numbers from a to b, any numbers, one of some words, true or false, or any text."""
Told: TypeAlias = Mapping[str, object]
"""What a process says of itself when it is ready: its port, and what it found it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a running engine offers beside its address; ``exact`` as in ``Endpoint``."""

    capabilities: tuple[Capability, ...]
    slots: int
    context: Tokens
    paths: Mapping[str, str] = field(default_factory=dict[str, str])
    exact: bool = False


@final
class ProcessInstance:
    """A running engine."""

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


class ProcessDriver(ABC):
    """A driver whose engine is a process of ours on this host.

    Args:
        spawner: Starts its process.
        entropy: Makes the key of each start.
        logs: Folder for the log of each process.
        environment: Variables that the process gets besides those of its threads.
        program: What starts an engine's process; the kind comes after it.
    """

    kind: ClassVar[EngineKind]
    libraries: ClassVar[Sequence[str]]
    """What must be installed for it, by the names under which they are imported."""
    extra: ClassVar[str]
    """The extra of the package that brings them."""
    options: ClassVar[Mapping[str, Allowed]]
    slots_max: ClassVar[int] = SLOTS_MAX
    ready_s: ClassVar[Seconds] = READY_S

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

    @abstractmethod
    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""

    @abstractmethod
    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says."""

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        if any(importlib.util.find_spec(library) is None for library in self.libraries):
            text = f"engine {self.kind} needs: pip install 'littoral[{self.extra}]'"
            raise InvalidInput(text, param="spec.engine")
        assignment = spec.assignment
        for name, value in assignment.options.items():
            self._check_option(name, value)
        if assignment.slots is not None and not 1 <= assignment.slots <= self.slots_max:
            raise InvalidInput(f"slots must be 1 to {self.slots_max}", param="spec.slots")
        runs = FORMATS.get(self.kind)
        if runs is not None and (form := artefact_of(spec).facts.format) != runs:
            text = f"engine {self.kind} runs {runs} weights, not {form}"
            raise InvalidInput(text, param="spec.model")

    @asynccontextmanager
    async def launch(self, spec: EngineSpec) -> AsyncGenerator[ProcessInstance]:
        """Start it and wait until it answers; leaving the context stops it for good.

        Raises:
            UpstreamFailed: It did not come up; the message ends its log.
        """
        self.check(spec)
        key = self._entropy.bytes(32).hex()
        async with self._spawner.spawn(
            [*self._program, self.kind],
            environment={**self._environment, **thread_environment(spec)},
            line=self._line(spec, key),
            log=str(Path(self._logs) / f"engine-{spec.assignment.name}.log"),
            ready_s=self.ready_s,
        ) as child:
            told = _told(child.ready)
            address = Address(host="127.0.0.1", port=cast("int", told["port"]))
            endpoint = _endpoint(spec, self.offer_of(spec, told), address=address, key=key)
            yield ProcessInstance(child, endpoint=endpoint, address=address)

    def _line(self, spec: EngineSpec, key: str) -> bytes:
        start = {
            **spec.assignment.options,
            "parent": os.getpid(),
            "key": key,
            "model": spec.artefact_path,
            "alias": spec.assignment.serves,
            "threads": threads_of(spec),
            **self.start_of(spec),
        }
        return json.dumps(start).encode()

    def _check_option(self, name: str, value: Option) -> None:
        param = f"spec.options.{name}"
        allowed = self.options.get(name)
        if allowed is None:
            known = ", ".join(sorted(self.options))
            text = f"engine {self.kind} has no option {name!r}; known: {known}"
            raise InvalidInput(text, param=param)
        wanted = _wanted(allowed, value)
        if wanted is not None:
            raise InvalidInput(f"option {name!r} must be {wanted}, not {value!r}", param=param)


def artefact_of(spec: EngineSpec) -> Artefact:
    """The weights of a spec.

    Raises:
        InvalidInput: They are not here.
    """
    artefact = spec.assignment.artefact
    if artefact is None or spec.artefact_path is None:
        raise InvalidInput(
            f"model {spec.assignment.model!r} has no weights here yet", param="spec.model"
        )
    return artefact


def check_context(spec: EngineSpec) -> None:
    """Raise ``InvalidInput`` where more context is asked for than the model was trained for."""
    trained = artefact_of(spec).facts.context
    context = spec.assignment.context
    if context is not None and not CONTEXT_MIN <= context <= trained:
        text = f"context must be {CONTEXT_MIN} to {trained}, what the model was trained for"
        raise InvalidInput(f"{text}; not {context}", param="spec.context")


def threads_of(spec: EngineSpec) -> int:
    """How many threads compute: as the option says, else as many as the host has for it."""
    return int(spec.assignment.options.get("threads", max(1, spec.threads)))


def thread_environment(spec: EngineSpec) -> dict[str, str]:
    """OpenMP's variables: they count only when they stand before its library is loaded.

    Without spinning, threads sleep at barriers: half the speed on an idle host, many times the
    speed on a busy one.
    """
    threads = {"OMP_NUM_THREADS": str(threads_of(spec))}
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
    return threads if spec.spin else passive | threads


def _wanted(allowed: Allowed, value: Option) -> str | None:
    """What a value must be, in words, where it is not that."""
    match allowed:
        case type():
            fits = isinstance(value, allowed)
            text = "true or false" if allowed is bool else "a text"
        case (int(low), int(high)):
            fits = type(value) is int and low <= value <= high
            text = f"a whole number from {low} to {high}"
        case (float(low), float(high)):
            fits = type(value) in {int, float} and low <= float(value) <= high
            text = f"a number from {low:g} to {high:g}"
        case words:
            fits = value in words
            text = "one of " + ", ".join(str(word) for word in words)
    return None if fits else text


def _told(ready: bytes) -> Told:
    try:
        told = cast("dict[str, object]", json.loads(ready))
        if isinstance(told["port"], int):
            return told
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamFailed(f"the engine said {ready[:100]!r} instead of its port") from error
    raise UpstreamFailed(f"the engine said {ready[:100]!r} instead of its port")


def _endpoint(spec: EngineSpec, offer: Offer, *, address: Address, key: str) -> Endpoint:
    assignment = spec.assignment
    return Endpoint(
        id=EndpointId(assignment.name),
        deployment=assignment.name,
        serves=assignment.serves,
        engine=assignment.engine,
        state="ready",
        address=address,
        credential=key,
        engine_model=assignment.serves,
        slots=offer.slots,
        context=offer.context,
        max_tokens=assignment.max_tokens,
        capabilities=offer.capabilities,
        price_in=assignment.price_in,
        price_out=assignment.price_out,
        paths=offer.paths,
        exact=offer.exact,
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
