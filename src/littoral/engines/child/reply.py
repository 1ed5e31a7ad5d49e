"""What the fake engine answers: the same words for the same request, in any process."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from littoral.engines.child.instance import JSON, instance

DIRECTIVE = re.compile(r"\[\[([a-z]+)(?:=([a-z0-9:]+))?\]\]")
MEDIA_TOKENS = 64
MOST_CALLS = 8
SHIFT = 32
THOUGHT = 64
"""Letters of the request that are thought about."""


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One message of a chat."""

    role: str
    content: str | list[Part] | None = None


class Function(msgspec.Struct):
    """A function that may be called."""

    name: str
    parameters: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Tool(msgspec.Struct):
    """One entry of ``tools``."""

    function: Function
    type: str = "function"


class Named(msgspec.Struct):
    """A function's name."""

    name: str


class Choice(msgspec.Struct):
    """``tool_choice`` where it names one function."""

    function: Named
    type: str = "function"


class Schema(msgspec.Struct):
    """``json_schema`` of a response format."""

    schema: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Format(msgspec.Struct):
    """``response_format``."""

    type: str
    json_schema: Schema | None = None


class StreamOptions(msgspec.Struct):
    """``stream_options``."""

    include_usage: bool = False


class Ask(msgspec.Struct):
    """A request for a chat or text completion, as far as the fake engine reads it."""

    model: str = ""
    messages: list[Message] | None = None
    prompt: str | list[str | int | list[int]] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: Format | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What the request asks to go wrong, by directives in its text."""

    status: int | None = None
    before: bool = False
    after: int | None = None
    hang: bool = False
    reset: bool = False
    slow_ms: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer: pieces of one token each, or calls of tools; before it maybe some thought."""

    pieces: tuple[str, ...]
    finish: str
    prompt_tokens: int
    calls: tuple[tuple[str, str], ...] = ()
    thought: tuple[str, ...] = ()
    faults: Faults

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer: one a piece, and those of the calls' arguments."""
        arguments = sum(count_tokens(said) for _, said in self.calls)
        return len(self.thought) + len(self.pieces) + arguments


def count_tokens(text: str) -> int:
    """Tokens of a text: its UTF-8 bytes divided by four, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def split_tokens(text: str) -> tuple[str, ...]:
    """Cut a text into as many pieces as it has tokens; together they are the text."""
    pieces = [""] * count_tokens(text)
    at = 0
    for letter in text:
        pieces[at // 4] += letter
        at += len(letter.encode("utf-8", "replace"))
    return tuple(pieces)


def tokens_of(text: str) -> list[int]:
    """The ids of a text's tokens: four bytes each, and how many they are."""
    data = text.encode("utf-8", "replace")
    pieces = [data[at : at + 4] for at in range(0, len(data), 4)]
    return [len(piece) << SHIFT | int.from_bytes(piece, "little") for piece in pieces]


def text_of_tokens(tokens: Sequence[int]) -> str:
    """The text of tokens; what is no token of ours says so."""
    pieces: list[bytes] = []
    for token in tokens:
        size, value = token >> SHIFT, token & ((1 << SHIFT) - 1)
        good = 0 <= size <= 4 and value < 1 << 8 * size
        pieces.append(value.to_bytes(size, "little") if good else f"<{token}>".encode())
    return b"".join(pieces).decode("utf-8", "replace")


def answer(ask: Ask, *, directives: bool, default_tokens: int) -> Reply:
    """Decide the whole answer to a request.

    Args:
        ask: The request.
        directives: Whether ``[[...]]`` in its text is obeyed (and left out of the echo).
        default_tokens: Limit of the answer where the request gives none.
    """
    heard = _heard(ask)
    faults = faults_of(heard) if directives else Faults()
    said = DIRECTIVE.sub("", heard) if directives else heard
    limit = ask.max_completion_tokens or ask.max_tokens or default_tokens
    thought = _thought(ask, said)[:limit]
    calls = _calls(ask)
    if calls:
        return Reply(
            pieces=(),
            finish="tool_calls",
            prompt_tokens=_prompt_tokens(ask),
            calls=calls,
            thought=thought,
            faults=faults,
        )
    text = _shaped(ask.response_format) or f"echo: {said}"
    if faults.length is not None:
        text = (text * (faults.length * 4 // len(text) + 1))[: faults.length * 4]
    pieces = split_tokens(_stopped(text, ask.stop))
    limit -= len(thought)
    return Reply(
        pieces=pieces[:limit],
        finish="length" if len(pieces) > limit else "stop",
        prompt_tokens=_prompt_tokens(ask),
        thought=thought,
        faults=faults,
    )


def text_of(message: Message) -> str:
    """The text of a message, its parts joined."""
    content = message.content
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _heard(ask: Ask) -> str:
    if ask.messages is None:
        return _prompt(ask.prompt or "")
    users = [message for message in ask.messages if message.role == "user"]
    return text_of(users[-1]) if users else ""


def _prompt(given: str | Sequence[str | int | Sequence[int]]) -> str:
    """The text of a prompt: of several, joined; of the ids of tokens, what they stand for."""
    if isinstance(given, str):
        return given
    ids = [each for each in given if isinstance(each, int)]
    if ids:
        return text_of_tokens(ids)
    return " ".join(
        each if isinstance(each, str) else _prompt(each)
        for each in given
        if not isinstance(each, int)
    )


def _prompt_tokens(ask: Ask) -> int:
    if ask.messages is None:
        return count_tokens(_heard(ask))
    total = 0
    for message in ask.messages:
        total += count_tokens(text_of(message))
        parts: Sequence[Part] = message.content if isinstance(message.content, list) else ()
        total += sum(MEDIA_TOKENS for part in parts if part.type != "text")
    return total


def _calls(ask: Ask) -> tuple[tuple[str, str], ...]:
    """The named tool, else the first; all of them where calls side by side are asked for."""
    if not ask.tools or ask.tool_choice == "none" or not ask.messages:
        return ()
    if ask.messages[-1].role == "tool":
        return ()
    functions = [tool.function for tool in ask.tools]
    if isinstance(ask.tool_choice, Choice):
        wanted = ask.tool_choice.function.name
        functions = [each for each in functions if each.name == wanted] or functions
    if ask.parallel_tool_calls is not True or isinstance(ask.tool_choice, Choice):
        functions = functions[:1]
    return tuple((each.name, _sample(each.parameters)) for each in functions[:MOST_CALLS])


def _thought(ask: Ask, said: str) -> tuple[str, ...]:
    if ask.messages is None or ask.reasoning_effort in {None, "none", "minimal"}:
        return ()
    return split_tokens(f"thinking about: {said[:THOUGHT]}")


def _sample(schema: msgspec.Raw) -> str:
    known = cast("JSON", json.loads(bytes(schema) or b"null"))
    return json.dumps(instance(known or {"type": "object"}))


def _shaped(wanted: Format | None) -> str:
    match wanted:
        case Format(type="json_object"):
            return '{"a": 1}'
        case Format(type="json_schema", json_schema=Schema(schema=schema)):
            return _sample(schema)
        case _:
            return ""


def _stopped(text: str, stop: str | list[str] | None) -> str:
    words = [stop] if isinstance(stop, str) else stop or []
    places = [text.find(word) for word in words if word and word in text]
    return text[: min(places)] if places else text


def faults_of(text: str) -> Faults:
    """Read what a text asks to go wrong."""
    said = {found[1]: found[2] or "" for found in DIRECTIVE.finditer(text)}
    fail = said.get("fail", "")
    return Faults(
        status=_number(said.get("status", "")),
        before=fail == "before",
        after=_number(fail.removeprefix("after:")) if fail.startswith("after:") else None,
        hang="hang" in said,
        reset="reset" in said,
        slow_ms=_number(said.get("slow", "")),
        length=_number(said.get("len", "")),
    )


def _number(digits: str) -> int | None:
    return int(digits) if digits.isdecimal() and len(digits) < 7 else None
