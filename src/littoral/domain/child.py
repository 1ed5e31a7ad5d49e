"""Spawner and Child: the port through which engines get their processes."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from littoral.domain.units import Seconds


class Spawner(Protocol):
    """Where child processes come from."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        line: bytes,
        log: str,
        ready_s: Seconds,
    ) -> AbstractAsyncContextManager["Child"]:
        """Start a program and wait for its first line; leaving the context ends it for good.

        Args:
            argv: The program and its arguments; never a secret.
            environment: All the variables it gets.
            line: Written to its standard input, which then stays open while we live.
            log: File that takes its standard error; created with mode 0600, appended to.
            ready_s: How long it may take to write its first line to standard output.

        Raises:
            UpstreamFailed: It did not start, ended first or took too long; the message ends its
                log.
        """
        ...


class Child(Protocol):
    """A child process that said it is ready."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def ready(self) -> bytes:
        """The first line it wrote to standard output."""
        ...

    async def wait(self) -> str:
        """Return why it ended ("killed by signal 9") and the end of its log, once it has."""
        ...
