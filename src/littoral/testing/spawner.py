"""Children that are only pretended, for tests of whatever starts processes."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import anyio.lowlevel

from littoral.domain.errors import UpstreamFailed
from littoral.domain.units import Seconds

Program: TypeAlias = Callable[[bytes], bytes | None]
"""From the line on its standard input to its first line of output; None: it ends before."""


@dataclass(kw_only=True)
class MemoryChild:
    """Twin of ``Child``: ends when it is told to."""

    pid: int
    ready: bytes
    _why: str = ""
    _ended: anyio.Event = field(default_factory=anyio.Event)

    def end(self, why: str) -> None:
        """Let it end; the first reason counts."""
        self._why = self._why or why
        self._ended.set()

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        await self._ended.wait()
        return self._why


class MemorySpawner:
    """Twin of ``Spawner``: runs the function that stands for the last argument.

    Args:
        programs: By the last word of ``argv``.
    """

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._spawned = 0
        self.running: dict[int, MemoryChild] = {}

    @asynccontextmanager
    async def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        line: bytes,
        log: str,
        ready_s: Seconds,
    ) -> AsyncGenerator[MemoryChild]:
        """Start a program and wait for its first line; leaving the context ends it for good."""
        await anyio.lowlevel.checkpoint()
        program = self._programs.get(argv[-1])
        if program is None or not log or "PATH" in environment:
            raise UpstreamFailed(f"{argv[0]!r} cannot be started")
        ready = program(line)
        if ready is None:
            raise UpstreamFailed(f"it ended before it was ready: not after {ready_s:.0f} s")
        self._spawned += 1
        child = MemoryChild(pid=self._spawned, ready=ready)
        self.running[child.pid] = child
        try:
            yield child
        finally:
            del self.running[child.pid]
            child.end("killed by signal 15")
