"""Life: one run of one process, which may end at any place, and its failpoints."""

from collections import Counter
from collections.abc import Callable
from typing import Literal, TypeAlias

from littoral.domain.errors import LittoralError
from littoral.domain.failpoint import FailpointName
from littoral.domain.units import Micros, Seconds
from littoral.testing.loop import LoopClock, stall

Act: TypeAlias = Literal["kill", "error", "delay"]
DELAY = Seconds(2.0)


class Killed(BaseException):
    """The process has ended here: no handler of its own may catch this."""


class InjectedError(LittoralError):
    """What an armed failpoint raises in place of a death."""


class Life:
    """One run of a process.

    Args:
        trace: Is told what an armed failpoint did.
        passes: Counts every pass of a failpoint, over all lives.

    Attributes:
        over: Whether it has ended; what is left of it may change nothing any more.
        injected: Whether an error was injected, which may end the process rightly.
    """

    def __init__(self, trace: Callable[[str], None], passes: Counter[str]) -> None:
        self.over = False
        self.injected = False
        self._trace = trace
        self._passes = passes
        self._armed: dict[FailpointName, Act] = {}

    def arm(self, name: FailpointName, act: Act) -> None:
        """Do something at the next pass of a failpoint."""
        self._armed[name] = act

    def disarm(self) -> None:
        """Let every failpoint pass again."""
        self._armed.clear()

    def check(self) -> None:
        """Raise ``Killed`` where the process has ended."""
        if self.over:
            raise Killed

    def hit(self, name: FailpointName) -> None:
        """Pass a failpoint."""
        self.check()
        self._passes[name] += 1
        act = self._armed.pop(name, None)
        if act is None:
            return
        self._trace(f"{act} at {name}")
        self._passes[f"{name}={act}"] += 1
        if act == "delay":
            stall(DELAY)
        elif act == "kill":
            self.over = True
            raise Killed
        else:
            self.injected = True
            raise InjectedError(f"failpoint {name}")


class HostClock:
    """A host's clock: monotonic time is everybody's, the wall clock may be wrong.

    Attributes:
        wrong_us: How far the wall clock is ahead.
    """

    def __init__(self) -> None:
        self.wrong_us = 0
        self._loop = LoopClock()
        self.now = self._loop.now
        """Monotonic seconds."""

    def wall(self) -> Micros:
        """UTC microseconds, as this host believes."""
        return Micros(self._loop.wall() + self.wrong_us)
