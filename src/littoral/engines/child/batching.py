"""Batching: requests of many connections, computed together, one step at a time."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, SupportsInt, final

import anyio
import anyio.to_thread
import numpy as np
import openvino_genai
from anyio.streams.memory import MemoryObjectSendStream
from openvino import Tensor

REFUSED = "refused: "
"""What the finish of a request begins with that was never begun."""
WAITING = 4096
"""Steps that a slow reader may be behind before the others wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one step brought a request; ``finish`` where it was its last."""

    tokens: Sequence[int]
    finish: str = ""


class Output(Protocol):
    """What a step brought one sequence."""

    @property
    def generated_ids(self) -> Sequence[int]:
        """New tokens."""
        ...

    @property
    def finish_reason(self) -> SupportsInt:
        """0 while it goes on, 1 at a stop, 2 at its length."""
        ...


class Handle(Protocol):
    """The library's side of a request."""

    def can_read(self) -> bool:
        """Whether a step brought something."""
        ...

    def read(self) -> Mapping[int, Output]:
        """What it brought, by sequence."""
        ...

    def cancel(self) -> None:
        """End it."""
        ...

    def get_status(self) -> SupportsInt:
        """How it stands."""
        ...


@dataclass(slots=True, kw_only=True)
class _Running:
    """A request under way."""

    tokens: Sequence[int]
    config: openvino_genai.GenerationConfig
    out: MemoryObjectSendStream[Outcome]
    handle: Handle | None = None
    left: bool = False
    outcomes: list[Outcome] = field(default_factory=list[Outcome])


@final
class Batch:
    """Runs a pipeline: its calls are made on one thread at a time, between steps.

    Args:
        pipeline: Computes one token of every request a step.
    """

    def __init__(self, pipeline: openvino_genai.ContinuousBatchingPipeline) -> None:
        self._pipeline = pipeline
        self._running: list[_Running] = []
        self._come = anyio.Event()
        self._number = 0

    async def run(self) -> None:
        """Compute until cancelled."""
        while True:
            if not self._running:
                self._come = anyio.Event()
                await self._come.wait()
            running = list(self._running)
            await anyio.to_thread.run_sync(self._step, running)
            for each in running:
                await self._deliver(each)

    async def generate(
        self, tokens: Sequence[int], config: openvino_genai.GenerationConfig
    ) -> AsyncGenerator[Outcome]:
        """Give what each step brings, to the last; a reader that leaves ends the request."""
        out, outcomes = anyio.create_memory_object_stream[Outcome](WAITING)
        request = _Running(tokens=tokens, config=config, out=out)
        self._running.append(request)
        self._come.set()
        try:
            async with outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            request.left = True

    async def _deliver(self, request: _Running) -> None:
        outcomes, request.outcomes = request.outcomes, []
        for outcome in outcomes:
            try:
                await request.out.send(outcome)
            except anyio.BrokenResourceError:
                request.left = True
            if outcome.finish:
                self._running.remove(request)
                request.out.close()

    def _step(self, running: Sequence[_Running]) -> None:
        for each in running:
            self._prepare(each)
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        for each in running:
            _collect(each)

    def _prepare(self, request: _Running) -> None:
        if request.handle is None:
            self._number += 1
            try:
                request.handle = self._pipeline.add_request(
                    self._number, Tensor(np.array([request.tokens], np.int64)), request.config
                )
            except RuntimeError as error:
                request.outcomes.append(Outcome(tokens=(), finish=REFUSED + str(error)))
        elif request.left:
            request.handle.cancel()
            request.outcomes.append(Outcome(tokens=(), finish="left"))


def _collect(request: _Running) -> None:
    handle = request.handle
    if handle is None or (request.outcomes and request.outcomes[-1].finish):
        return
    while handle.can_read():
        for output in handle.read().values():
            finish = {1: "stop", 2: "length"}.get(int(output.finish_reason), "")
            request.outcomes.append(Outcome(tokens=list(output.generated_ids), finish=finish))
    status = int(handle.get_status())
    if status != 0 and not (request.outcomes and request.outcomes[-1].finish):
        request.outcomes.append(Outcome(tokens=(), finish="stop" if status == 1 else "failed"))
