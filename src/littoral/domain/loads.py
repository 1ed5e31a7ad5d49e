"""Loads: how many requests each gateway of a node has at each endpoint, without a lock.

Each gateway writes its own column only, so what others read is a moment old at most.
"""

from littoral.domain.words import WORD_BYTES, Words

ENDPOINTS = 1024
"""Endpoints whose loads are shared; what is beyond is known to each gateway alone."""


class Loads:
    """One gateway's view.

    Args:
        words: The memory that all share.
        columns: Where each column begins.
        mine: Which one this process writes.
    """

    __slots__ = ("_others", "_own", "_words")

    def __init__(self, words: Words, columns: tuple[int, ...], mine: int) -> None:
        self._words = words
        self._own = columns[mine]
        self._others = tuple(at for at in columns if at != columns[mine])

    def put(self, endpoint: int, count: int) -> None:
        """Say how many requests this gateway has at an endpoint."""
        self._words[self._own + endpoint] = count

    def elsewhere(self, endpoint: int) -> int:
        """How many requests the others have there."""
        words, total = self._words, 0
        for column in self._others:
            total += words[column + endpoint]
        return total

    def clear(self) -> None:
        """This gateway has none anywhere."""
        first = self._own * WORD_BYTES
        self._words.cast("B")[first : first + ENDPOINTS * WORD_BYTES] = bytes(
            ENDPOINTS * WORD_BYTES
        )
