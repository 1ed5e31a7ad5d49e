"""Question: what a chat asks last, apart from everything that must agree for the same answer."""

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from littoral.gateway.request import Chat

LONGEST: Final = 8192
"""Most characters of a question that is compared by meaning."""
_ENCODE: Final = msgspec.json.Encoder().encode
_TEXT: Final = msgspec.json.Decoder(str).decode


class Question(NamedTuple):
    """The text of the last message, and the rest of the request, encoded."""

    text: str
    rest: bytes


def question_of(body: Struct) -> Question | None:
    """Take a chat apart; None where it ends in anything but a short text of the user's."""
    if not isinstance(body, Chat) or body.messages[-1].role != "user":
        return None
    last = body.messages[-1]
    content = last.content
    try:
        text = _TEXT(content)
    except msgspec.MsgspecError:
        return None
    if not 0 < len(text) <= LONGEST:
        return None
    last.content = Raw(b'""')
    rest = _ENCODE(body)
    last.content = content
    return Question(text, rest)
