"""Waiting for something to become true, with a limit."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from littoral.app.system import SystemClock
from littoral.domain.ports import Clock
from littoral.domain.units import Seconds

T = TypeVar("T")
EVERY_S = Seconds(0.1)


def pause(seconds: Seconds) -> None:
    """Let real time pass."""
    threading.Event().wait(seconds)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a command waits: its clock, and what lets time pass."""

    clock: Clock = field(default_factory=SystemClock)
    pause: Callable[[Seconds], object] = pause
    every_s: Seconds = EVERY_S

    def until(self, probe: Callable[[], T | None], *, timeout_s: Seconds) -> T | None:
        """Ask again and again until there is an answer.

        Args:
            probe: The question; None means not yet. It is asked once more at the end.
            timeout_s: For how long.

        Returns:
            The answer, or None when time is up.
        """
        deadline = self.clock.now() + timeout_s
        while True:
            late = self.clock.now() >= deadline
            answer = probe()
            if answer is not None or late:
                return answer
            self.pause(self.every_s)
