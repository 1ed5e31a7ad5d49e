"""Cascade: whether a first answer is good enough, and what only the gateway asks to know that."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from littoral.domain.policy import Cascade
from littoral.gateway.asked import Asked
from littoral.gateway.operation import OPERATIONS
from littoral.gateway.request import Chat, Completion
from littoral.placement.filters import capability_mask
from littoral.trust.shape import allows

CHAT: Final = OPERATIONS.index("chat")
TEXT: Final = OPERATIONS.index("completions")
LOGPROBS: Final = capability_mask(("logprobs",))
_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NULL: Final = Raw(b"null")
_Fields: TypeAlias = dict[str, Raw]
_fields: Callable[[bytes | Raw], _Fields] = msgspec.json.Decoder(_Fields).decode
_choices: Callable[[bytes | Raw], list[_Fields]] = msgspec.json.Decoder(list[_Fields]).decode
_value: Callable[[str], object] = msgspec.json.Decoder(object).decode
_ENCODE: Final = msgspec.json.Encoder().encode


class Heard(NamedTuple):
    """What a whole answer says: its text, whether it calls tools, how sure the engine was.

    ``confidence`` is the geometric mean of its tokens' probabilities, None where none are told.
    """

    text: str
    calls: bool
    confidence: float | None


class _Token(Struct):
    logprob: float


class _Told(Struct):
    """Log probabilities of a chat, or of a completion."""

    content: list[_Token] | None = None
    token_logprobs: list[float | None] | None = None


class _Message(Struct):
    content: str | None = None
    tool_calls: list[Raw] | None = None


class _Choice(Struct):
    message: _Message | None = None
    text: str | None = None
    logprobs: _Told | None = None


class _Reply(Struct):
    choices: list[_Choice]


_reply: Callable[[bytes], _Reply] = msgspec.json.Decoder(_Reply).decode


def is_judged(asked: Asked, operation: int) -> bool:
    """Whether an answer to it can be judged before anybody has seen a part of it.

    A stream cannot be taken back, and of several answers each would need its own way on.
    """
    return operation in {CHAT, TEXT} and not asked.streamed and asked.choices == 1


def hear(data: bytes) -> Heard:
    """Read an engine's whole reply, of a chat or a completion.

    Raises:
        ValueError: It is none.
    """
    try:
        reply = _reply(data)
    except _FAULTS as error:
        raise ValueError(f"it is no answer: {error}") from error
    choice = reply.choices[0] if reply.choices else _Choice()
    message, told = choice.message or _Message(content=choice.text), choice.logprobs or _Told()
    if choice.message is None and choice.text is None:
        raise ValueError("it has no choice")
    tokens = [each.logprob for each in told.content or ()]
    tokens += [each for each in told.token_logprobs or () if each is not None]
    return Heard(message.content or "", bool(message.tool_calls), _mean(tokens))


def _mean(logprobs: list[float]) -> float | None:
    if not logprobs:
        return None
    return math.exp(min(0.0, math.fsum(max(each, -100.0) for each in logprobs) / len(logprobs)))


def lack(rule: Cascade, heard: Heard) -> str:
    """Why an answer is not good enough, for people; empty where it is.

    Calls of tools are judged by their confidence alone.
    """
    if rule.below is not None:
        if heard.confidence is None:
            return "confidence unknown"
        if heard.confidence < rule.below:
            return f"confidence {heard.confidence:.3f} below {rule.below:g}"
    if heard.calls:
        return ""
    if rule.answers and heard.text.strip() not in rule.answers:
        return "not one of the answers"
    if rule.schema is not None and not _is_shaped(heard.text, rule):
        return "not of the schema"
    return ""


def _is_shaped(text: str, rule: Cascade) -> bool:
    try:
        value = _value(text)
    except _FAULTS:
        return False
    return allows(rule.schema or {}, value)


def asks_already(body: Struct) -> bool:
    """Whether the caller wants log probabilities, and so gets them."""
    return isinstance(body, Chat | Completion) and bool(body.logprobs)


def asking(asked: Asked) -> Asked:
    """The same request, with as few log probabilities asked for as there can be."""
    body = asked.body
    if isinstance(body, Chat):
        return replace(asked, body=replace(body, logprobs=True, top_logprobs=1))
    if isinstance(body, Completion):
        return replace(asked, body=replace(body, logprobs=1))
    return asked


def bare(data: bytes) -> bytes:
    """An engine's whole reply without the log probabilities that its caller did not ask for.

    Raises:
        ValueError: It is none.
    """
    try:
        reply = _fields(data)
        choices = _choices(reply["choices"])
    except (*_FAULTS, KeyError) as error:
        raise ValueError(f"it has no choices: {error}") from error
    for choice in choices:
        if "logprobs" in choice:
            choice["logprobs"] = _NULL
    return _ENCODE(reply | {"choices": choices})
