"""Asked: a decoded request, as every step after the reading sees it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

DEFAULT_CAP: Final = 4096
"""Most tokens of an answer where neither caller, deployment nor context bounds it."""


class Asked(Struct, gc=False):
    """A request of any dialect: what it names, what it needs, and how it wants its answer.

    ``body`` is the engine's request before it is encoded, known in full only to the route that read
    it. ``cap`` is the caller's bound on the tokens of one choice, ``media`` the ``content-type`` of
    an answer that is no JSON. ``longest`` are the tokens of the longest of several inputs, which is
    what must fit a context; 0 where the body is one input. ``weight`` are the
    input's tokens where the body's bytes do not tell, and ``heaviest`` the most that they may be
    where that is not one a byte; else 0.

    The rest is for translators: ``origin`` is the request as its own dialect has it; ``began_s``,
    when it came in UTC seconds, and ``first_us`` and ``total_us``, how long the first piece and
    the whole answer took, are set before they are asked.
    """

    model: str
    body: Struct
    ignored: Sequence[str]
    needs: int
    streamed: bool = False
    wants_usage: bool = False
    cap: int | None = None
    choices: int = 1
    media: bytes = b""
    longest: int = 0
    weight: int = 0
    heaviest: int = 0
    origin: Struct | None = None
    began_s: int = 0
    first_us: int = 0
    total_us: int = 0


def cap_of(wish: int | None, *, most: int | None, context: int, tokens_in: int) -> int:
    """Return the most tokens an answer may have: the caller's wish within the deployment's cap."""
    if wish is not None:
        return wish if most is None or wish < most else most
    if most is not None:
        return most
    return max(context - tokens_in, context // 4, 1) if context else DEFAULT_CAP
