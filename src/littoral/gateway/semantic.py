"""Semantic cache: questions of one project that mean nearly the same get the same answer.

An embedding of the question is compared with those of questions answered before; the nearest one
counts if its cosine reaches the project's threshold. It finds the key under which the exact cache
keeps the answer, so the bounds, times and revisions of that cache hold here too. Each project has
vectors of its own: there is no way to ask for another's.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from operator import mul
from typing import Final

MOST: Final = 512
"""Questions remembered a project; the least recently kept go first."""
PROJECTS: Final = 256


def unit(vector: Sequence[float]) -> tuple[float, ...]:
    """Scale a vector to length 1; one of length 0 stays as it is.

    Raises:
        ValueError: A component is not finite.
    """
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not math.isfinite(length):
        raise ValueError("an embedding has a component that is not finite")
    return tuple(x / length for x in vector) if length else tuple(vector)


class Neighbours:
    """Questions of every project by meaning, each under a scope within which they may match.

    A scope is what must agree exactly: the model, its revision, and every parameter of the request.
    """

    __slots__ = ("_most", "_projects")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._projects: OrderedDict[str, OrderedDict[bytes, tuple[bytes, tuple[float, ...]]]] = (
            OrderedDict()
        )

    def __len__(self) -> int:
        return sum(map(len, self._projects.values()))

    def nearest(
        self, project: str, scope: bytes, vector: Sequence[float], *, threshold: float
    ) -> bytes | None:
        """Return the key of the nearest question, if it is near enough.

        Args:
            project: Whose.
            scope: What must agree exactly.
            vector: Of the question, from ``unit``.
            threshold: Least cosine, 0 to 1.
        """
        known = self._projects.get(project)
        best, found = threshold, None
        for key, (within, other) in known.items() if known else ():
            if within == scope and len(other) == len(vector):
                cosine = sum(map(mul, vector, other))
                if cosine >= best:
                    best, found = cosine, key
        return found

    def keep(self, project: str, scope: bytes, vector: Sequence[float], *, key: bytes) -> None:
        """Remember a question whose answer is kept under ``key``."""
        known = self._projects.setdefault(project, OrderedDict())
        self._projects.move_to_end(project)
        known.pop(key, None)
        known[key] = (scope, tuple(vector))
        if len(known) > self._most:
            known.popitem(last=False)
        if len(self._projects) > PROJECTS:
            self._projects.popitem(last=False)
