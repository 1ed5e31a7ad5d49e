"""Voice and Translator: how a dialect says what is to be said."""

from typing import Protocol, runtime_checkable

from littoral.gateway.asked import Asked
from littoral.gateway.refusal import Refusal
from littoral.gateway.tally import Usage


class Voice(Protocol):
    """A dialect's errors, and how its streams begin."""

    @property
    def streams(self) -> bytes:
        """The lines that make a head the head of a stream, each with its CRLF."""
        ...

    def error_body(self, refusal: Refusal, request: str) -> bytes:
        """Encode a refusal as the body of an answer."""
        ...

    def error_event(self, refusal: Refusal, request: str) -> bytes:
        """Encode a refusal as the last event of a stream that has begun."""
        ...


class Stream(Protocol):
    """One stream on its way from the engine's events to the client's."""

    def take(self, events: bytes) -> bytes:
        """Translate whole events of the engine; what comes out may be nothing yet.

        Raises:
            ValueError: An event is not what an engine should send.
        """
        ...

    def end(self, usage: Usage | None) -> bytes:
        """Say what is left to say after the engine's last event; it ended as it should.

        Raises:
            ValueError: What the engine said has no end in this dialect.
        """
        ...


@runtime_checkable
class Failing(Protocol):
    """A stream whose errors are part of what it says; others end with the voice's error event."""

    def fail(self, refusal: Refusal) -> bytes:
        """Say that it failed, and why; nothing comes after it."""
        ...


class Translator(Protocol):
    """Where a dialect's answers are not what engines answer: the way from these to those."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Translate an engine's whole reply.

        Raises:
            ValueError: It is not what an engine should answer.
        """
        ...

    def stream(self, asked: Asked, request: str) -> Stream:
        """Begin to translate a stream."""
        ...


class Unstreamed:
    """What translators have in common whose requests have no field that asks for a stream."""

    def stream(self, asked: Asked, request: str) -> Stream:
        """There is none.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{request}: a request to {asked.model!r} that is never streamed")
