"""Failpoints that a test arms."""

from collections import Counter

from littoral.domain.failpoint import FailpointName
from littoral.testing.loop import stall


class Crash(Exception):
    """What an armed failpoint raises unless told otherwise: the process ends here."""


class ArmedFailpoints:
    """Twin of ``Failpoints``: counts every pass, and raises or waits where a test armed it.

    Attributes:
        passes: How often each place was passed.
        acted: How often something was done there.
    """

    def __init__(self) -> None:
        self.passes: Counter[FailpointName] = Counter()
        self.acted: Counter[FailpointName] = Counter()
        self._armed: dict[FailpointName, tuple[int, Exception | float]] = {}

    def arm(self, name: FailpointName, error: Exception | None = None, *, after: int = 0) -> None:
        """Raise ``error`` (else ``Crash``) once, at the pass that follows ``after`` more ones."""
        self._armed[name] = (self.passes[name] + after, error or Crash(name))

    def delay(self, name: FailpointName, seconds: float) -> None:
        """Let virtual time pass at the next pass, in which nothing else runs."""
        self._armed[name] = (self.passes[name], seconds)

    def disarm(self, name: FailpointName) -> None:
        """Let ``name`` pass again."""
        self._armed.pop(name, None)

    def hit(self, name: FailpointName) -> None:
        """Pass the place ``name``."""
        count = self.passes[name]
        self.passes[name] += 1
        armed = self._armed.get(name)
        if armed is None or count < armed[0]:
            return
        del self._armed[name]
        self.acted[name] += 1
        if isinstance(armed[1], Exception):
            raise armed[1]
        stall(armed[1])
