"""Children: child processes that report themselves ready, and end when they are let go."""

import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from littoral.domain.errors import UpstreamFailed
from littoral.domain.units import Seconds

GRACE_S = Seconds(2.0)
LINE_BYTES = 64 * 1024
TAIL_BYTES = 2048
TAIL_LINES = 8


@final
class RunningChild:
    """One process, its first line of output, and where its log is."""

    def __init__(self, process: Process, *, ready: bytes, log: Path) -> None:
        self._process = process
        self._ready = ready
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ready(self) -> bytes:
        """The first line it wrote to standard output."""
        return self._ready

    async def wait(self) -> str:
        """Return why it ended and the end of its log, once it has."""
        return _why(await self._process.wait(), self._log)


@final
class Children:
    """Starts child processes in a session of their own; the port ``Spawner``."""

    @asynccontextmanager
    async def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        line: bytes,
        log: str,
        ready_s: Seconds,
    ) -> AsyncGenerator[RunningChild]:
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
        path = Path(log)
        process = await _open(argv, environment=environment, log=path)
        try:
            ready = await _first_line(process, line=line, log=path, ready_s=ready_s)
            yield RunningChild(process, ready=ready, log=path)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


async def _open(argv: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Process:
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UpstreamFailed(f"the log {str(log)!r} cannot be opened: {error.strerror}") from error
    try:
        return await anyio.open_process(
            list(argv),
            stdin=PIPE,
            stdout=PIPE,
            stderr=descriptor,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise UpstreamFailed(f"{argv[0]!r} cannot be started: {error.strerror}") from error
    finally:
        os.close(descriptor)


async def _first_line(process: Process, *, line: bytes, log: Path, ready_s: Seconds) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise UpstreamFailed("the child has no pipes")
    with anyio.move_on_after(ready_s):
        try:
            await process.stdin.send(line + b"\n")
            output = BufferedByteReceiveStream(process.stdout)
            return await output.receive_until(b"\n", LINE_BYTES)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead):
            why = _why(await process.wait(), log)
        except anyio.DelimiterNotFound:
            why = f"its first line has more than {LINE_BYTES} bytes"
        raise UpstreamFailed(f"it ended before it was ready: {why}")
    raise UpstreamFailed(f"it was not ready after {ready_s:.0f} s{_tail(log)}")


async def _end(process: Process) -> None:
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(GRACE_S):
            await process.wait()
    if process.returncode is None:
        _signal(process, signal.SIGKILL)
    await process.aclose()


def _signal(process: Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _why(code: int, log: Path) -> str:
    why = f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
    return why + _tail(log)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    kept = [shown for line in lines[-TAIL_LINES:] if (shown := _printable(line))]
    return "; its log ends: " + " | ".join(kept) if kept else ""


def _printable(line: str) -> str:
    return "".join(letter for letter in line if letter.isprintable()).strip()
