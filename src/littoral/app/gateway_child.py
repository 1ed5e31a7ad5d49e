"""The gateway as a child of the node: its sockets inherited, its frames on a pair of sockets."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import final

import anyio
from anyio.abc import Process

from littoral.app.channel import adopt
from littoral.app.handed import line_for
from littoral.app.settings import Settings
from littoral.app.system import environment
from littoral.domain.errors import Unavailable
from littoral.domain.ports import Channel
from littoral.node.gateway import KILLED

LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
PROGRAM = (sys.executable, "-m", "littoral", "gateway")


@final
class GatewayChild:
    """A running gateway process."""

    def __init__(self, process: Process, channel: Channel) -> None:
        self._process = process
        self._channel = channel

    @property
    def channel(self) -> Channel:
        """The pipe of frames to it."""
        return self._channel

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> None:
        """Ask it to finish what is open, take nothing new, and end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        code = await self._process.wait()
        if code == -signal.SIGKILL:
            return KILLED
        return f"killed by signal {-code}" if code < 0 else f"exited with status {code}"


def launcher(
    settings: Settings, listen: int, worker: int
) -> Callable[[], AbstractAsyncContextManager[GatewayChild]]:
    """Make the function that starts a gateway.

    Args:
        settings: Handed on to it.
        listen: Descriptor of its public socket.
        worker: Which one it is.
    """

    @asynccontextmanager
    async def launch() -> AsyncGenerator[GatewayChild]:
        ours, theirs = socket.socketpair()
        try:
            process = await _start(settings, worker, {"listen": listen, "link": theirs.fileno()})
        except OSError as error:
            ours.close()
            raise Unavailable(f"the gateway cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        channel = await adopt(ours)
        try:
            yield GatewayChild(process, channel)
        finally:
            with anyio.CancelScope(shield=True):
                await channel.close()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.aclose()

    return launch


async def _start(settings: Settings, worker: int, descriptors: Mapping[str, int]) -> Process:
    log = os.open(settings.path("logs/gateway.log"), LOG_FLAGS, 0o600)
    try:
        process = await anyio.open_process(
            PROGRAM,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=dict(environment()),
            pass_fds=tuple(descriptors.values()),
            start_new_session=True,
        )
    finally:
        os.close(log)
    if process.stdin is not None:
        with contextlib.suppress(anyio.BrokenResourceError):
            await process.stdin.send(line_for(settings, descriptors, worker))
    return process
