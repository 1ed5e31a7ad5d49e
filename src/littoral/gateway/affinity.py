"""Affinity: requests that begin alike go where their beginning was computed before, if it is free.

An engine keeps the keys and values of prompts it has seen; a prompt that begins the same way needs
only its rest computed. So of equally cheap places the last one gets a bonus, ``WARM`` of placement:
enough to break ties, not enough to pile requests on a place that is busy.
"""

from collections import OrderedDict
from typing import Final

LEAST: Final = 1024
"""Bodies below this many bytes have too little in common to care."""
PREFIX: Final = 512
"""Bytes of the messages that must agree."""
MOST: Final = 100_000
_BEGINNINGS: Final = (b'"messages"', b'"prompt"', b'"input"')


def prefix_of(body: bytes) -> bytes:
    """The beginning of a request's messages."""
    for name in _BEGINNINGS:
        at = body.find(name, 0, PREFIX)
        if at >= 0:
            return body[at : at + PREFIX]
    return body[:PREFIX]


class Affinity:
    """Where beginnings were served last; the least recently used are forgotten.

    Args:
        most: How many are remembered.
    """

    __slots__ = ("_last", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._last: OrderedDict[int, str] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._last)

    @staticmethod
    def key(project: str, model: str, body: bytes) -> int:
        """What is remembered of a body's beginning: a hash, different in each project and model."""
        return hash((project, model, prefix_of(body)))

    def where(self, key: int) -> str | None:
        """The endpoint that served it last."""
        return self._last.get(key)

    def served(self, key: int, endpoint: str) -> None:
        """Learn who serves it now."""
        last = self._last
        if key in last:
            last.move_to_end(key)
        elif len(last) >= self._most:
            last.popitem(last=False)
        last[key] = endpoint
