"""Failpoints that a test arms."""

from collections import Counter

from littoral.domain.failpoint import FailpointName


class Crash(Exception):
    """What an armed failpoint raises unless told otherwise: the process ends here."""


class ArmedFailpoints:
    """Twin of ``Failpoints``: counts every pass, and raises where a test armed it."""

    def __init__(self) -> None:
        self.passes: Counter[FailpointName] = Counter()
        self._armed: dict[FailpointName, tuple[int, Exception]] = {}

    def arm(self, name: FailpointName, error: Exception | None = None, *, after: int = 0) -> None:
        """Raise ``error`` (else ``Crash``) once, at the pass that follows ``after`` more ones."""
        self._armed[name] = (self.passes[name] + after, error or Crash(name))

    def disarm(self, name: FailpointName) -> None:
        """Let ``name`` pass again."""
        self._armed.pop(name, None)

    def hit(self, name: FailpointName) -> None:
        """Pass the place ``name``."""
        count = self.passes[name]
        self.passes[name] += 1
        armed = self._armed.get(name)
        if armed is not None and count >= armed[0]:
            del self._armed[name]
            raise armed[1]
