"""Owed: when to acknowledge what came, so that one message says it of several."""

from typing import Final

import anyio

from littoral.domain.units import Seconds
from littoral.node.signal import Signal

AFTER: Final = 4
WITHIN_S: Final = Seconds(0.05)


class Owed:
    """Acknowledgements that one end owes the other.

    Args:
        wake: Is notified when they are due.

    Attributes:
        due: Whether they are to be said now.
    """

    def __init__(self, wake: Signal) -> None:
        self._wake = wake
        self._count = 0
        self._began = Signal()
        self.due = False

    def came(self) -> None:
        """Something came: soon, or with what comes next, it is to be said."""
        self._count += 1
        if self._count == 1:
            self._began.notify()
        elif self._count == AFTER:
            self.say()

    def say(self) -> None:
        """Let it be said now."""
        self.due = True
        self._wake.notify()

    def said(self) -> None:
        """It is said."""
        self.due, self._count = False, 0

    async def run(self) -> None:
        """Let it be said soon after the first of it came, until cancelled."""
        while True:
            if not self._count:
                await self._began.wait()
            await anyio.sleep(WITHIN_S)
            if self._count:
                self.say()
