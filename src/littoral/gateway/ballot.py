"""Ballots: questions with few possible answers, asked as constrained chats, weighed by logprobs."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Raw, Struct

from littoral.gateway import request, said
from littoral.gateway.asked import Asked
from littoral.gateway.request import Chat, Message, ResponseFormat
from littoral.gateway.said import Logprob
from littoral.placement.filters import capability_mask

NEEDS: Final = capability_mask(("chat", "json_schema", "logprobs"))
"""What a model must have to be asked so."""
ALTERNATIVES: Final = 20
"""Most tokens beside the one written that engines tell of."""
_WORD = re.compile(r"[A-Za-z0-9]*")
_QUIET: Final = re.compile(r"^[^A-Za-z0-9]*")
_ENCODE = msgspec.json.Encoder().encode
_CONTENT: Callable[[Raw], str | list[dict[str, object]]] = msgspec.json.Decoder(
    str | list[dict[str, object]]
).decode
JSON: TypeAlias = Mapping[str, object]


class Matter(Protocol):
    """What is decided by chats: which to ask next, and what their answers come to."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask or to hear."""
        ...

    def next(self) -> tuple[int, Asked, int] | None:
        """The next chat: its number, itself and its bytes; None where none is to be asked now."""
        ...

    def hear(self, number: int, data: bytes) -> None:
        """Take the answer to a chat.

        Raises:
            ValueError: It is not what was asked for.
        """
        ...

    def answer(self, request: str) -> bytes:
        """The body of the answer, once complete."""
        ...


class Weights(NamedTuple):
    """Probabilities of some labels, which sum to 1, and what they had of all that might be said."""

    each: Sequence[float]
    mass: float


class Used(NamedTuple):
    """Tokens of one chat."""

    tokens_in: int = 0
    cached: int = 0
    tokens_out: int = 0
    reasoning: int = 0

    def plus(self, other: "Used") -> "Used":
        """The tokens of both."""
        return Used(*(one + two for one, two in zip(self, other, strict=True)))


class Vote(Struct):
    """An engine's answer: its text and tokens; None where the model declined."""

    text: str | None
    tokens: Sequence[Logprob]
    used: Used


def ask(model: str, messages: Sequence[Message], *, schema: JSON, most: int) -> Asked:
    """Make a chat whose answer is an instance of a schema and nothing else.

    Args:
        model: As the client named it.
        messages: The chat.
        schema: Of the answer.
        most: Tokens that an answer may have.
    """
    form: JSON = {"name": "answer", "strict": True, "schema": schema}
    body = Chat(
        model=model,
        messages=list(messages),
        max_tokens=most,
        temperature=0.0,
        response_format=ResponseFormat("json_schema", Raw(_ENCODE(form))),
        logprobs=True,
        top_logprobs=ALTERNATIVES,
    )
    return request.chat_asked(body, ())


def posed(messages: Sequence[Message], text: str, parts: Sequence[JSON] = ()) -> list[Message]:
    """Put a question behind a chat, as part of its last message where a user said that.

    Args:
        messages: What the question is about.
        text: The question.
        parts: Images that belong to it.
    """
    last = messages[-1] if messages else None
    content: list[JSON] = []
    if last is not None and last.role == "user" and last.name is None:
        content += _parts(last)
        messages = messages[:-1]
    content += [*parts, {"type": "text", "text": text}]
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    if len(texts) < len(content):
        return [*messages, Message("user", Raw(_ENCODE(content)))]
    return [*messages, Message("user", Raw(_ENCODE("\n\n".join(map(str, texts)))))]


def _parts(message: Message) -> list[JSON]:
    content = _CONTENT(message.content)
    return [{"type": "text", "text": content}] if isinstance(content, str) else [*content]


def size_of(messages: Sequence[Message]) -> int:
    """Bytes of what is said in messages."""
    return sum(len(bytes(message.content)) for message in messages)


def read(data: bytes) -> Vote:
    """Read an engine's whole reply.

    Raises:
        ValueError: It is no chat completion, or has no choice.
    """
    reply = said.hear(data)
    if not reply.choices or reply.choices[0].message is None:
        raise ValueError("it gave no answer")
    choice, message = reply.choices[0], reply.choices[0].message
    used = reply.usage or said.Used()
    declined = message.refusal is not None or choice.finish_reason == "content_filter"
    logprobs = choice.logprobs
    return Vote(
        None if declined else message.content,
        (logprobs.content if logprobs is not None else None) or (),
        Used(used.prompt_tokens, used.cached, used.completion_tokens, used.thought or 0),
    )


def weigh(vote: Vote, at: int, labels: Sequence[str]) -> Weights | None:
    """Weigh labels by the token that begins at or spans a place of the answer's text.

    Where an engine tells of the token that it wrote and of no other, the other labels share what
    is left. None where no label stands there.

    Args:
        vote: The answer.
        at: Where a label begins.
        labels: What might stand there.
    """
    token, offset = _token_at(vote.tokens, at)
    if token is None:
        return None
    lead = token.token[: at - offset]
    heard = {each.token: each.logprob for each in (token, *token.top_logprobs)}
    found = dict.fromkeys(labels, 0.0)
    for text, logprob in heard.items():
        rest = text.removeprefix(lead) if text.startswith(lead) else _QUIET.sub("", text)
        label = _meant(rest, labels)
        if label is not None:
            found[label] += math.exp(min(logprob, 0.0))
    mass = min(math.fsum(found.values()), 1.0)
    if not mass:
        return None
    unheard = [label for label, weight in found.items() if not weight]
    if len(heard) == 1 and unheard:
        found |= dict.fromkeys(unheard, (1.0 - mass) / len(unheard))
    total = math.fsum(found.values())
    return Weights([found[label] / total for label in labels], mass)


def _token_at(tokens: Sequence[Logprob], at: int) -> tuple[Logprob | None, int]:
    offset = 0
    for token in tokens:
        if offset <= at < offset + len(token.token):
            return token, offset
        offset += len(token.token)
    return None, 0


def _meant(text: str, labels: Sequence[str]) -> str | None:
    """The one label that a token begins, or is."""
    found = _WORD.match(text.lstrip(' "'))
    word = found[0] if found else ""
    if not word:
        return None
    if word in labels:
        return word
    begun = [label for label in labels if label.startswith(word)]
    return begun[0] if len(begun) == 1 else None
