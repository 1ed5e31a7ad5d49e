"""Chat: a wish and what was said before it, as the chat that an engine is asked for."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from littoral.domain.errors import InvalidInput
from littoral.gateway.dialect.responses.tools import full_name, need, tools_of
from littoral.gateway.dialect.responses.wish import (
    LOGPROBS,
    NULL,
    Content,
    Format,
    Item,
    Part,
    Wish,
)
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import Chat, Message, ResponseFormat

_ENCODE = msgspec.json.Encoder().encode
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})


def chat(wish: Wish, before: Sequence[Item]) -> Chat | Refusal:
    """Make the chat of a wish.

    Args:
        wish: As read.
        before: Items of the responses that it continues, oldest first.
    """
    try:
        messages = _messages(wish, before)
        tools, choice = tools_of(wish)
        response_format = _format(wish.text.format if wish.text is not None else None)
    except InvalidInput as error:
        return refuse(InvalidInput, error.message, param=error.param)
    if not any(message.role != "system" for message in messages):
        return refuse(InvalidInput, "the input has no message", param="input")
    logprobs = LOGPROBS in (wish.include or ())
    reasoning = wish.reasoning
    body = Chat(
        model=wish.model,
        messages=messages,
        stream=wish.stream,
        max_tokens=wish.max_output_tokens,
        temperature=wish.temperature,
        top_p=wish.top_p,
        presence_penalty=wish.presence_penalty,
        frequency_penalty=wish.frequency_penalty,
        response_format=response_format,
        logprobs=logprobs or None,
        top_logprobs=wish.top_logprobs if logprobs else None,
        tools=tools or None,
        parallel_tool_calls=wish.parallel_tool_calls if tools else None,
        reasoning_effort=reasoning.effort if reasoning is not None else None,
    )
    if choice is not None:
        body.tool_choice = choice
    return body


# items


class _Talk:
    """Messages as they are added; what one assistant's turn consists of becomes one message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._thoughts: list[str] = []
        """Reasoning of the last message, to be joined when that is complete."""

    def add(self, message: Message) -> None:
        """Begin a message."""
        self.close()
        self.messages.append(message)

    def close(self) -> None:
        """Complete the last message."""
        if self._thoughts:
            self.messages[-1].reasoning_content = "".join(self._thoughts)
            self._thoughts = []

    def think(self, text: str) -> None:
        """Some reasoning, of a turn that has said nothing yet."""
        last = self._turn()
        if last is None or last.content != NULL or last.tool_calls is not None:
            self.add(Message("assistant", NULL))
        self._thoughts.append(text)

    def call(self, call: dict[str, Raw]) -> None:
        """A call of the turn under way, or of a new one."""
        turn = self._turn()
        if turn is None:
            turn = Message("assistant", NULL)
            self.add(turn)
        if turn.tool_calls is None:
            turn.tool_calls = []
        turn.tool_calls.append(call)

    def answer(self, content: Raw) -> None:
        """What an assistant said, with the reasoning before it."""
        turn = self._turn()
        if turn is not None and self._thoughts and turn.content == NULL:
            turn.content = content
        else:
            self.add(Message("assistant", content))

    def _turn(self) -> Message | None:
        """The assistant's message under way."""
        last = self.messages[-1] if self.messages else None
        return last if last is not None and last.role == "assistant" else None


def _messages(wish: Wish, before: Sequence[Item]) -> list[Message]:
    talk = _Talk()
    if wish.instructions:
        talk.add(Message("system", Raw(_ENCODE(wish.instructions))))
    for item in before:
        _add(talk, item, "previous_response_id")
    given = wish.input
    if isinstance(given, str):
        talk.add(Message("user", Raw(_ENCODE(given))))
    else:
        for at, item in enumerate(given or ()):
            _add(talk, item, f"input[{at}]")
    talk.close()
    return talk.messages


def _add(talk: _Talk, item: Item, at: str) -> None:
    match item.type or ("message" if item.role is not None else "item_reference"):
        case "message":
            content = _content(item.content if item.content is not None else "", f"{at}.content")
            role = item.role or "user"
            if role == "assistant":
                talk.answer(content)
            else:
                talk.add(Message(role, content))
        case "reasoning":
            text = _text(item.content) or _text(item.summary)
            if text:
                talk.think(text)
        case "function_call":
            _add_call(talk, item, at)
        case "custom_tool_call":
            written = _ENCODE({"input": item.input or ""}).decode()
            _add_call(talk, msgspec.structs.replace(item, arguments=written), at)
        case "function_call_output" | "custom_tool_call_output":
            need(item.call_id, f"{at}.call_id")
            content = _content(item.output if item.output is not None else "", f"{at}.output")
            talk.add(Message("tool", content, tool_call_id=item.call_id))
        case "item_reference":
            message = "items cannot be referred to; send the item, or use previous_response_id"
            raise InvalidInput(message, param=f"{at}.id")
        case other:
            raise InvalidInput(
                f"items of type {other!r} are not served here; served are message, reasoning, "
                "function_call, function_call_output, custom_tool_call, custom_tool_call_output",
                param=f"{at}.type",
            )


def _add_call(talk: _Talk, item: Item, at: str) -> None:
    need(item.call_id, f"{at}.call_id")
    need(item.name, f"{at}.name")
    function = {
        "name": full_name(item.namespace, item.name or ""),
        "arguments": item.arguments or "{}",
    }
    call = {"id": item.call_id, "type": "function", "function": function}
    talk.call({name: Raw(_ENCODE(value)) for name, value in call.items()})


def _text(content: Content | None) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text or "" for part in content or ())


def _content(content: Content, at: str) -> Raw:
    if isinstance(content, str):
        return Raw(_ENCODE(content))
    if len(content) == 1 and content[0].type in _TEXTS:
        return Raw(_ENCODE(content[0].text or ""))
    return Raw(_ENCODE([_part(part, f"{at}[{n}]") for n, part in enumerate(content)]))


def _part(part: Part, at: str) -> dict[str, object]:
    if part.type in _TEXTS:
        return {"type": "text", "text": part.text or ""}
    if part.type == "refusal":
        return {"type": "text", "text": part.refusal or ""}
    if part.type == "input_image":
        if not part.image_url:
            message = "files are not kept here: give image_url, such as a data: URL"
            raise InvalidInput(message, param=at)
        image = {"url": part.image_url}
        if part.detail is not None and part.detail != "auto":
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    raise InvalidInput(
        f"content of type {part.type!r} is not served here; served are input_text, input_image, "
        "output_text and refusal",
        param=f"{at}.type",
    )


def _format(wanted: Format | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat("json_object")
    if wanted.schema == NULL:
        raise InvalidInput("text.format.schema is missing", param="text.format.schema")
    schema: dict[str, object] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return ResponseFormat("json_schema", Raw(_ENCODE(schema)))
