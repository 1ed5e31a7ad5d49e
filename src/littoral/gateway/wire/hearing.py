"""Hearing: one turn of a realtime session on its way to an engine, and its transcript back."""

import math
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from littoral.gateway.realtime import Session, Turn
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import TRANSCRIPTION
from littoral.gateway.speech import Transcription, transcription_of
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.inner import Inner
from littoral.gateway.wire.worker import Worker

_BROKEN: Final = Refusal(502, "upstream", "the engine failed in the middle of the transcript")


class _Event(Struct):
    type: str = ""
    delta: str = ""
    text: str = ""
    usage: Raw = Raw()


_DECODE = msgspec.json.Decoder(_Event).decode


class Teller(Protocol):
    """Whom a transcript is told."""

    def tell(self, event: bytes) -> None:
        """Send one event."""
        ...

    def ended(self, turn: "Hearing") -> None:
        """This turn is over."""
        ...


class Hearing:
    """Listens to one inner request.

    Args:
        worker: What all share.
        teller: Whom it is told.
        session: How it is said.
    """

    def __init__(self, worker: Worker, teller: Teller, session: Session) -> None:
        self._worker = worker
        self._teller = teller
        self._session = session
        self._item, self.size = "", 0
        self._inner: Inner | None = None
        self._done = False

    def ask(self, turn: Turn, *, key: KeyRow) -> None:
        """Begin."""
        self._item, self.size = turn.item, len(turn.sound)
        by = turn.by
        fields = Transcription(model=by.model or "", language=by.language, prompt=by.prompt)
        asked = transcription_of(turn.sound, fields)
        worker = self._worker
        self._inner = Inner(worker, self, worker.request_id(), key=key)
        self._inner.ask(TRANSCRIPTION, asked, size=len(turn.sound), total_s=math.inf)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self._inner is not None:
            self._inner.cancel()

    def piece(self, payload: bytes) -> None:
        """Some whole events of the engine's stream."""
        for line in payload.splitlines():
            if line.startswith(b"data: {"):
                self._take(_DECODE(line[6:]))

    def _take(self, event: _Event) -> None:
        if event.type == "transcript.text.delta":
            self._teller.tell(self._session.delta(self._item, event.delta))
        elif event.type == "transcript.text.done":
            self._done = True
            usage = event.usage if bytes(event.usage) else None
            self._teller.tell(self._session.completed(self._item, event.text, usage))

    def refused(self, refusal: Refusal) -> None:
        """It was not transcribed."""
        self._teller.tell(self._session.failed(self._item, refusal))
        self._teller.ended(self)

    def ended(self, *, good: bool) -> None:
        """The stream is over."""
        if not good or not self._done:
            self._teller.tell(self._session.failed(self._item, _BROKEN))
        self._teller.ended(self)
