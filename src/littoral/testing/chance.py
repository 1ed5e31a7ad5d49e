"""Chance that repeats itself."""

import random


class SeededChance:
    """Twin of ``Chance``: the same seed gives the same sequence."""

    def __init__(self, seed: float | str = 0) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._random.random()
