"""A stream of a chat or a completion, each event decoded and encoded anew."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.mended.answer import Counts, whole
from littoral.gateway.tally import Usage

_ENCODE: Final = msgspec.json.Encoder().encode
_DATA: Final = b"data:"
_END: Final = b"[DONE]"
_DONE: Final = b"data: [DONE]\n\n"


class Piece(Protocol):
    """A choice, as one event has it."""

    index: int
    finish_reason: str | None


class Event(Protocol):
    """One event of an engine."""

    @property
    def choices(self) -> Sequence[Piece]:
        """What it adds to each choice."""
        ...

    @property
    def usage(self) -> Counts | None:
        """What was used so far."""
        ...

    @property
    def fault(self) -> Raw:
        """Why the engine failed; empty where it did not."""
        ...


class MendedStream(ABC):
    """One stream under way.

    Args:
        asked: What was asked.
        id: The answer's id.
        kind: Of its events, their ``object``.
    """

    def __init__(self, asked: Asked, id: str, kind: str) -> None:  # noqa: A002  the field's name
        head = {"id": id, "object": kind, "created": asked.began_s, "model": asked.model}
        self._head = b'data: %b,"choices":' % _ENCODE(head)[:-1]
        self._wants_usage = asked.wants_usage
        self._tail = b',"usage":null}\n\n' if asked.wants_usage else b"}\n\n"
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._used: Counts | None = None

    @abstractmethod
    def _read(self, payload: bytes) -> Event:
        """Decode an event."""

    @abstractmethod
    def _mend(self, piece: Piece) -> None:
        """Put in what is missing, and note in ``_begun`` that the choice has begun."""

    @abstractmethod
    def _last(self, index: int) -> Piece:
        """The end of a choice that the engine gave none."""

    def take(self, events: bytes) -> bytes:
        """Mend whole events.

        Raises:
            ValueError: An event has not the shape even in part, or says that the engine failed.
        """
        out = b""
        for line in events.split(b"\n"):
            if line.startswith(_DATA) and not line.rstrip().endswith(_END):
                out += self._event(line[5:])
        return out

    def end(self, usage: Usage | None) -> bytes:
        """End what is open, say what was used to who asked, and end the stream."""
        pieces = [self._last(index) for index in sorted(self._begun - self._ended)]
        out = self._told(pieces) if pieces else b""
        used = self._used
        if used is None and usage is not None:
            used = Counts(usage.tokens_in, usage.tokens_out)
        if self._wants_usage and used is not None:
            out += b'%b[],"usage":%b}\n\n' % (self._head, _ENCODE(whole(used)))
        return out + _DONE

    def _event(self, payload: bytes) -> bytes:
        event = self._read(payload)
        if event.fault:
            raise ValueError(f"it says {bytes(event.fault)[:200]!r}")
        if event.usage is not None:
            self._used = event.usage
        choices = event.choices
        if self._ended:
            choices = [piece for piece in choices if piece.index not in self._ended]
        for piece in choices:
            self._mend(piece)
            if piece.finish_reason is not None:
                self._ended.add(piece.index)
        return self._told(choices) if choices else b""

    def _told(self, choices: Sequence[Piece]) -> bytes:
        return b"%b%b%b" % (self._head, _ENCODE(choices), self._tail)
