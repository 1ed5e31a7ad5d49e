"""Findings: what audits found and callers voted, from the gateways to the outbox."""

from collections import deque
from collections.abc import Callable
from typing import Final

import anyio

from littoral.domain.audit import Finding, Vote
from littoral.domain.errors import LittoralError
from littoral.domain.local import Judged, Voted
from littoral.domain.ports import Outbox
from littoral.domain.units import Seconds
from littoral.node.signal import Signal

MOST: Final = 1000
"""Notes that wait for the disk; of more the oldest are lost."""
RETRY: Final = Seconds(1.0)


class Findings:
    """Writes notes down, those that come together in one go.

    Args:
        outbox: Where they go.
        news: Called once there are new ones in it.
    """

    def __init__(self, outbox: Outbox, news: Callable[[], None]) -> None:
        self._outbox = outbox
        self._news = news
        self._waiting: deque[Finding | Vote] = deque(maxlen=MOST)
        self._arrived = Signal()

    def take(self, frame: Judged | Voted) -> None:
        """Take one from a gateway."""
        self._waiting.append(frame.finding if isinstance(frame, Judged) else frame.vote)
        self._arrived.notify()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            if not self._waiting:
                await self._arrived.wait()
            await self._write(list(self._waiting))

    async def _write(self, notes: list[Finding | Vote]) -> None:
        try:
            await self._outbox.put(notes)
        except LittoralError:  # the disk is full or broken, which others say: try again
            await anyio.sleep(RETRY)
            return
        for note in notes:
            if self._waiting and self._waiting[0] is note:  # else newer ones pushed it out
                self._waiting.popleft()
        self._news()
