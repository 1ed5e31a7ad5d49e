"""Entropy that repeats itself: for tests only, anybody can guess it."""

import hashlib


class SeededEntropy:
    """Twin of ``Entropy``: the same seed gives the same bytes, no two calls the same."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        """``count`` bytes from SHAKE-256 over the seed and the number of the call."""
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)
