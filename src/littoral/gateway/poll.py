"""Poll: one question whose options may be more than a ballot holds, asked in rounds.

Up to ``MOST`` options are one ballot. More are asked in groups, then the winner of each group
against the others; an option's probability is that within its group times that of its group.
"""

from collections.abc import Sequence
from typing import Final

from littoral.gateway.ballot import Weights

MOST: Final = 20


class Poll:
    """The state of one question.

    Args:
        count: Its options, which are numbers from 0.
    """

    def __init__(self, count: int) -> None:
        groups = -(-count // MOST)
        size = -(-count // groups)
        self._groups = [range(at, min(at + size, count)) for at in range(0, count, size)]
        self._waiting: list[Sequence[int]] = [*reversed(self._groups)]
        self._heard: dict[int, Weights] = {}
        self._finalists: Sequence[int] = ()
        self._count = count
        self.complete = False
        self.result: Weights | None = None
        """Once complete: the weights of all options; None where the model declined."""

    def next(self) -> Sequence[int] | None:
        """The options of the next ballot, if one is to be asked now."""
        return self._waiting.pop() if self._waiting and not self.complete else None

    def hear(self, options: Sequence[int], weights: Weights | None) -> None:
        """Take the weights of a ballot's options; None where the model declined."""
        if self.complete:
            return
        if weights is None:
            self.complete = True
        elif options == self._finalists:
            self._end(weights)
        else:
            self._heard[options[0]] = weights
            if len(self._heard) == len(self._groups):
                self._close_round()

    def _close_round(self) -> None:
        if len(self._groups) == 1:
            self.result, self.complete = self._heard[0], True
            return
        self._finalists = [self._best(group) for group in self._groups]
        self._waiting.append(self._finalists)

    def _best(self, group: Sequence[int]) -> int:
        each = self._heard[group[0]].each
        return group[max(range(len(each)), key=lambda at: (each[at], -at))]

    def _end(self, final: Weights) -> None:
        weights = [0.0] * self._count
        for group, share in zip(self._groups, final.each, strict=True):
            for option, weight in zip(group, self._heard[group[0]].each, strict=True):
                weights[option] = weight * share
        self.result, self.complete = Weights(weights, final.mass), True
