"""Meaning: the embedding of a question, asked of a model in the name of whoever put it."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from littoral.gateway.refusal import Refusal
from littoral.gateway.route import EMBEDDING
from littoral.gateway.semantic import unit
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.inner import Inner
from littoral.gateway.wire.worker import Worker

PATIENCE_S: Final = 2.0
"""How long an embedding may take before the question goes on without one."""


class _One(Struct):
    embedding: list[float]


class _Reply(Struct):
    data: list[_One]


_DECODE: Final = msgspec.json.Decoder(_Reply).decode
_ENCODE: Final = msgspec.json.Encoder().encode


class _Hearing:
    """Hears one embedding, or that there is none."""

    def __init__(self, heard: Callable[[Sequence[float] | None], None]) -> None:
        self._heard = heard
        self._data = b""

    def piece(self, payload: bytes) -> None:
        """The reply, or a part of it."""
        self._data += payload

    def refused(self, refusal: Refusal) -> None:
        """There is none."""
        del refusal
        self._heard(None)

    def ended(self, *, good: bool) -> None:
        """It is whole."""
        try:
            found = _DECODE(self._data).data if good else []
            vector = unit(found[0].embedding) if found else None
        except (msgspec.MsgspecError, ValueError):
            vector = None
        self._heard(vector)


def embed(
    worker: Worker,
    key: KeyRow,
    *,
    model: str,
    text: str,
    heard: Callable[[Sequence[float] | None], None],
) -> Callable[[], None]:
    """Ask for the embedding of a text.

    Args:
        worker: What all share.
        key: In whose name, and within whose limits.
        model: Makes embeddings.
        text: Of the question.
        heard: Called once, with a vector of length 1 or None; maybe before this returns.

    Returns:
        Call it to hear nothing any more.
    """
    data = _ENCODE({"model": model, "input": text, "encoding_format": "float"})
    inner = Inner(worker, _Hearing(heard), worker.request_id(), key=key)
    asked = EMBEDDING.read(data)
    if isinstance(asked, Refusal):
        heard(None)
    else:
        inner.ask(EMBEDDING, asked, size=len(data), total_s=PATIENCE_S)
    return inner.cancel
