"""Said: what engines answer to a chat, whole or as a stream, decoded for who must translate it."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Function(Struct, gc=False):
    """The name of a function and its arguments, or pieces of both."""

    name: str | None = None
    arguments: str | None = None


class Call(Struct, gc=False):
    """A call of a tool, or one piece of it."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Speech(Struct, gc=False):
    """A message, or what one event adds to it."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None

    @property
    def thought(self) -> str:
        """Reasoning, by either of the names in use for it."""
        return self.reasoning_content or self.reasoning or ""


class Likely(Struct):
    """A token that was likely at a place."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(Struct):
    """How likely the token of a place was, and others in its place."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[Likely] = []


class Logprobs(Struct):
    """Log probabilities of a choice, token by token."""

    content: list[Logprob] | None = None


class Choice(Struct, gc=False):
    """One choice; ``stop_reason`` is the text that ended it, from engines that say so."""

    index: int = 0
    message: Speech | None = None
    delta: Speech | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Logprobs | None = None


class InDetails(Struct, gc=False):
    """Details of the input's tokens."""

    cached_tokens: int | None = None


class OutDetails(Struct, gc=False):
    """Details of the output's tokens."""

    reasoning_tokens: int | None = None


class Used(Struct, gc=False):
    """Tokens as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: InDetails | None = None
    completion_tokens_details: OutDetails | None = None

    @property
    def cached(self) -> int:
        """Tokens of the input that were in the engine's cache."""
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details is not None else 0

    @property
    def thought(self) -> int | None:
        """Tokens of reasoning; None where the engine does not say."""
        details = self.completion_tokens_details
        return details.reasoning_tokens if details is not None else None


class Timings(Struct, gc=False):
    """How long the engine worked, milliseconds, from engines that say so."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class Said(Struct, gc=False):
    """A whole reply, or one event of a stream."""

    choices: list[Choice] = []
    usage: Used | None = None
    timings: Timings | None = None
    error: msgspec.Raw = msgspec.Raw()


_DECODE: Final = msgspec.json.Decoder(Said).decode


def hear(data: bytes) -> Said:
    """Decode a whole reply.

    Raises:
        ValueError: It is none.
    """
    try:
        return _DECODE(data)
    except _FAULTS as error:
        raise ValueError(str(error)) from error


def listen(events: bytes) -> Iterator[Said]:
    """Decode whole events of a stream, but for comments and its end.

    Raises:
        ValueError: An event is none of a chat, or says that the engine failed.
    """
    for line in events.split(b"\n"):
        if line.startswith(_DATA):
            payload = line[5:].strip()
            if payload and payload != _DONE:
                said = hear(payload)
                if said.error:
                    raise ValueError(f"it says {bytes(said.error)[:200]!r}")
                yield said
