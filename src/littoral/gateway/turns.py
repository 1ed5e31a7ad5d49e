"""Turns: where somebody begins and ends to speak, by how loud it is."""

import math
from operator import mul
from typing import Final, Literal, NamedTuple, TypeAlias

FRAME_MS: Final = 20
EACH: Final = 8
"""Of so many samples one is looked at: loudness needs no more, and long sound stays cheap."""
QUIET_DB, LOUD_DB = -60.0, -10.0
"""Loudness that thresholds 0 and 1 stand for, decibels below full scale."""
FULL: Final = 32768.0

Edge: TypeAlias = tuple[Literal["began", "ended"], int]
"""What changed, and at which byte of all sound so far."""


class Hearing(NamedTuple):
    """How turns are told apart.

    Args:
        threshold: From 0, any sound is speech, to 1, only the loudest is.
        silence_ms: Quiet that ends a turn.
    """

    threshold: float = 0.5
    silence_ms: int = 500


class Turns:
    """Watches 16-bit mono sound as it comes.

    Args:
        rate: Samples a second.
        hearing: How turns are told apart.
    """

    def __init__(self, rate: int, hearing: Hearing) -> None:
        self._frame = rate * FRAME_MS // 1000 * 2
        level = QUIET_DB + (LOUD_DB - QUIET_DB) * hearing.threshold
        self._least = (FULL * math.pow(10.0, level / 20)) ** 2
        self._patience = max(1, hearing.silence_ms // FRAME_MS)
        self._rest = b""
        self._at = 0
        self._quiet = 0
        self.speaking = False

    def take(self, sound: bytes) -> list[Edge]:
        """Take more sound; returns where turns began and ended, in order."""
        data, size, edges = self._rest + sound, self._frame, list[Edge]()
        for start in range(0, len(data) - size + 1, size):
            loud = self._is_loud(data[start : start + size])
            self._quiet = 0 if loud else self._quiet + 1
            if loud and not self.speaking:
                self.speaking = True
                edges.append(("began", self._at))
            elif self.speaking and self._quiet >= self._patience:
                self.speaking = False
                edges.append(("ended", self._at + size))
            self._at += size
        self._rest = data[len(data) - len(data) % size :]
        return edges

    def _is_loud(self, frame: bytes) -> bool:
        samples = memoryview(frame).cast("h")[::EACH]
        seen = list(samples)
        return sum(map(mul, seen, seen)) > self._least * len(seen)
