"""Screener: the way to a process that redacts long bodies, since that would hold up everyone here.

Frames go out and come back in order: four bytes of length, big end first, one byte, then the body.
The byte is the kinds to look for on the way out, and 0 or 1 on the way back: redacted, or why not.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from msgspec import Struct

MOST: Final = 64
MOST_BYTES: Final = 16 * 1024 * 1024
STUCK_S: Final = 30.0
"""Longest that a body may take; then the process is given up."""
AGAIN_S: Final = 1.0
"""Between two starts of the process."""
HEAD: Final = 5
GONE: Final = "the process that redacts is gone or busy"
Hearer = Callable[[bytes | str], None]
"""Takes the redacted body, or why there is none."""


class _Task(Struct):
    size: int
    since: float
    hearer: Hearer


class Screener:
    """A bounded queue before one process, which is started when it is first needed.

    Args:
        loop: The event loop.
        time: Monotonic seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, time: Callable[[], float]) -> None:
        self._loop = loop
        self._time = time
        self._line: _Line | None = None
        self._not_before = 0.0
        self.spawn: Callable[[], socket.socket] | None = None
        """Starts the process and returns our end of its socket; None where there is none."""

    def ask(self, data: bytes, mask: int, hearer: Hearer) -> bool:
        """Have a body redacted; False where it cannot be, at once: nothing is heard then."""
        now, line = self._time(), self._line
        if line is not None and line.stuck(now):
            line.give_up()
        if line is None or line.over:
            line = self._line = self._opened(now)
        if line is None or len(line.tasks) >= MOST or line.size + len(data) > MOST_BYTES:
            return False
        line.send(_Task(len(data), now, hearer), bytes([mask]) + data)
        return True

    def _opened(self, now: float) -> "_Line | None":
        if self.spawn is None or now < self._not_before:
            return None
        self._not_before = now + AGAIN_S
        try:
            ours = self.spawn()
        except OSError:
            return None
        line = _Line()
        line.opening = self._loop.create_task(self._loop.create_connection(lambda: line, sock=ours))
        return line


class _Line(asyncio.Protocol):
    """The connection to one process, and who waits for it."""

    def __init__(self) -> None:
        self.tasks: deque[_Task] = deque()
        self.size = 0
        self.over = False
        self.opening: asyncio.Task[object] | None = None
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._heard = b""

    def stuck(self, now: float) -> bool:
        """Whether the process has had its oldest body for too long."""
        return bool(self.tasks) and now - self.tasks[0].since > STUCK_S

    def send(self, task: _Task, body: bytes) -> None:
        """Send a body, now or once connected."""
        self.tasks.append(task)
        self.size += task.size
        frame = task.size.to_bytes(4, "big") + body
        if self._transport is None:
            self._unsent.append(frame)
        else:
            self._transport.write(frame)

    def give_up(self) -> None:
        """Be done with the process."""
        transport = self._transport
        self.connection_lost(None)
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited."""
        self._transport = cast("asyncio.Transport", transport)
        unsent, self._unsent = self._unsent, []
        if self.over:
            self._transport.abort()
        else:
            self._transport.writelines(unsent)

    def data_received(self, data: bytes) -> None:
        """Hand out whole answers."""
        self._heard += data
        while len(self._heard) >= HEAD and self.tasks:
            end = HEAD + int.from_bytes(self._heard[:4], "big")
            if len(self._heard) < end:
                return
            good, body = self._heard[4] == 0, self._heard[HEAD:end]
            self._heard = self._heard[end:]
            self._hear(body if good else body.decode("utf-8", "replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone: nobody who waits for it gets anything outside."""
        del exc
        self.over = True
        while self.tasks:
            self._hear(GONE)

    def _hear(self, answer: bytes | str) -> None:
        task = self.tasks.popleft()
        self.size -= task.size
        task.hearer(answer)
