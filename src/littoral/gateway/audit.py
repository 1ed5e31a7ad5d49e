"""Audit: the texts of two answers to one question, and what a judge makes of them."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias, cast

import msgspec
from msgspec import Raw, Struct

from littoral.domain.policy import Judge
from littoral.gateway import request
from littoral.gateway.asked import Asked
from littoral.gateway.request import Chat, Completion, Message
from littoral.placement.golden import plain
from littoral.trust.pattern import reach
from littoral.trust.shape import allows

MOST_TEXT: Final = 64 * 1024
"""Longest answer that is compared, bytes as it was sent."""
VERDICT_TOKENS: Final = 8
_ENCODE: Final = msgspec.json.Encoder().encode
_LETTER: Final = re.compile(r"\b([ABC])\b")
_WORTH: Final[Mapping[str, float]] = {"A": 1.0, "B": -1.0, "C": 0.0}
_QUESTION: Final = (
    "Two answers to the request above follow. Which is better: more correct, more complete, and "
    "what was asked for? Length alone makes none better.\n\n"
    "[Answer A]\n{first}\n\n[Answer B]\n{second}\n\n"
    "Reply with one letter and nothing else: A, B, or C if they are equally good."
)
Texts: TypeAlias = Sequence[str]


class _Block(Struct):
    """A block of a content, or an item of an output, which has blocks of its own."""

    text: str | None = None
    content: "str | list[_Block] | None" = None


class _Choice(Struct):
    message: _Block | None = None
    delta: _Block | None = None
    text: str | None = None


class _Told(Struct):
    """An answer of any dialect, or one event of its stream, as far as it has text."""

    choices: list[_Choice] = []
    message: _Block | None = None
    content: list[_Block] = []
    output: list[_Block] = []
    delta: str | _Block | None = None
    response: Raw = Raw()
    type: str = ""


_DECODE: Final = msgspec.json.Decoder(_Told).decode
_TEXT_EVENTS: Final = frozenset({"", "content_block_delta", "response.output_text.delta"})


def text_of(answer: bytes, *, streamed: bool) -> str | None:
    """What an answer says; None where that is nothing, or cannot be read.

    Args:
        answer: As the client got it, in whichever dialect.
        streamed: Whether it came as events, or as lines of JSON.
    """
    if len(answer) > MOST_TEXT:
        return None
    pieces = _events(answer) if streamed else [answer]
    try:
        text = "".join(_said(_DECODE(piece), whole=not streamed) for piece in pieces)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return text if text.strip() else None


def _events(answer: bytes) -> list[bytes]:
    found: list[bytes] = []
    for line in answer.split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        if data.startswith(b"{"):
            found.append(data)
    return found


def _said(told: _Told, *, whole: bool) -> str:
    if told.choices:
        choice = told.choices[0]
        part = choice.message or choice.delta
        return choice.text or (_flat(part) if part is not None else "")
    if not whole and told.type not in _TEXT_EVENTS:
        return ""
    if told.delta is not None:
        return told.delta if isinstance(told.delta, str) else _flat(told.delta)
    if bytes(told.response).startswith(b'"'):
        return msgspec.json.decode(told.response, type=str)
    blocks = [*told.content, *told.output, *((told.message,) if told.message else ())]
    return "".join(_flat(each) for each in blocks)


def _flat(block: _Block) -> str:
    inner = block.content
    rest = inner if isinstance(inner, str) else "".join(_flat(each) for each in inner or ())
    return (block.text or "") + rest


def loss_of(judge: Judge, *, dear: str, cheap: str) -> float | None:
    """The reference's score minus the candidate's, by a judge that needs nobody else.

    Args:
        judge: Its kind is ``exact`` or ``test``.
        dear: The reference's answer.
        cheap: The candidate's.

    Returns:
        None where an answer is longer than what its pattern may be searched for in.
    """
    if judge.kind == "exact":
        return float(plain(dear) != plain(cheap))
    if judge.pattern and max(len(dear), len(cheap)) > _bounded(judge.pattern)[1]:
        return None
    return passes(judge, dear) - passes(judge, cheap)


def passes(judge: Judge, text: str) -> float:
    """1.0 where an answer passes a test, else 0.0; it is short enough for the pattern."""
    good = not judge.pattern or _bounded(judge.pattern)[0].search(text) is not None
    good = good and (not judge.answer or plain(text) == plain(judge.answer))
    return float(good and (not judge.schema or _fits(judge.schema, text)))


@lru_cache(maxsize=256)
def _bounded(pattern: str) -> tuple[re.Pattern[str], int]:
    return re.compile(pattern), reach(pattern)


def _fits(schema: Mapping[str, object], text: str) -> bool:
    try:
        value = cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return False
    return allows(schema, value)


def question_of(body: Struct) -> list[Message] | None:
    """What was asked, as a chat; None where it was no text."""
    if isinstance(body, Chat):
        return list(body.messages)
    if isinstance(body, Completion) and isinstance(body.prompt, str):
        return [Message("user", Raw(_ENCODE(body.prompt)))]
    return None


def asking(model: str, asked: Sequence[Message], *, first: str, second: str) -> Asked:
    """Ask a model which of two answers is better.

    Args:
        model: Its name.
        asked: What was asked.
        first: The answer that stands first.
        second: The other one.
    """
    text = _QUESTION.format(first=first, second=second)
    body = Chat(
        model=model,
        messages=[*asked, Message("user", Raw(_ENCODE(text)))],
        max_tokens=VERDICT_TOKENS,
        temperature=0.0,
    )
    return request.chat_asked(body, ())


def preferred(verdict: str) -> float | None:
    """How much better the first answer is, -1 to 1; None where a model did not say."""
    found = _LETTER.search(verdict)
    return None if found is None else _WORTH[found[1]]
