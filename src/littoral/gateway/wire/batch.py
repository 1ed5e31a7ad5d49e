"""Batch: the writes of one turn of the loop, sent one after the other at its end.

A write wakes whoever reads, and waking a processor that sleeps costs more than the write. Sent
between two requests' work, each write finds its reader asleep again; sent together, the first one
wakes it and the others find it awake.
"""

import asyncio
from typing import Protocol


class Sender(Protocol):
    """What a batch needs of a transport."""

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def is_closing(self) -> bool:
        """Whether it takes nothing more."""
        ...


class Batch:
    """Writes that wait for the end of this turn; each connection's stay in their order.

    Args:
        loop: Its next turn begins with the flush.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Sender, bytes]] = []

    def write(self, transport: Sender, data: bytes) -> None:
        """Send soon."""
        waiting = self._waiting
        first = not waiting
        waiting.append((transport, data))
        if first:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send now: called before a connection is closed, so that its last bytes leave first."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
