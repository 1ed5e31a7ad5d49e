"""From Anthropic's messages to the chat that engines understand."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from littoral.domain.errors import InvalidInput
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.dialect.anthropic import body as it
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import Chat, Message, ResponseFormat, chat_asked

_ENCODE: Final = msgspec.json.Encoder().encode
_NULL: Final = Raw(b"null")
_GAP: Final = "\n\n"
_read: Final = Reader(it.StrictMessages, it.Messages).read

Part: TypeAlias = dict[str, object]


def read(data: bytes) -> Asked | Refusal:
    """Decode the body of a message request; a refusal has the path of the field that is wrong."""
    found = _read(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    try:
        chat = _sampled(chat_of(body), body)
    except InvalidInput as error:
        return refuse(InvalidInput, error.message, param=error.param)
    asked = chat_asked(chat, ignored)
    asked.origin = body
    return asked


def chat_of(body: it.Count) -> Chat:
    """The same conversation as a chat, with its tools.

    Raises:
        InvalidInput: A block stands where it has no meaning, or a tool is none of the caller's.
    """
    messages: list[Message] = []
    users: dict[int, list[Part]] = {}
    if body.system:
        messages.append(Message("system", _raw(_told(body.system))))
    for at, turn in enumerate(body.messages):
        _add(messages, users, turn, where=f"messages[{at}]")
    for at, parts in users.items():
        messages[at].content = _raw(_plain(parts))
    chat = Chat(model=body.model, messages=messages)
    if body.tools:
        chat.tools = [_tool(each, f"tools[{at}]") for at, each in enumerate(body.tools)]
    choice = body.tool_choice
    if choice is not None:
        chat.tool_choice = _raw(_pick(choice))
        if not isinstance(choice, it.NoTool) and choice.disable_parallel_tool_use:
            chat.parallel_tool_calls = False
    if body.thinking is not None:
        thinks = body.thinking.type != "disabled"
        chat.chat_template_kwargs = _raw({"enable_thinking": thinks})
    return _shaped(chat, body)


def _shaped(chat: Chat, body: it.Count) -> Chat:
    output = body.output_config
    form = (output.format if output is not None else None) or body.output_format
    if form is not None:
        schema = _raw({"name": "answer", "schema": form.schema, "strict": True})
        chat.response_format = ResponseFormat("json_schema", schema)
    if output is not None:
        chat.reasoning_effort = output.effort
    return chat


def _sampled(chat: Chat, body: it.Messages) -> Chat:
    chat.max_tokens = body.max_tokens
    chat.stream = body.stream
    chat.stop = body.stop_sequences or None
    chat.temperature, chat.top_p, chat.top_k = body.temperature, body.top_p, body.top_k
    return chat


def _add(
    messages: list[Message], users: dict[int, list[Part]], turn: it.Turn, *, where: str
) -> None:
    """Append a turn; ``users`` has the parts of each user's message, by its position."""
    content = turn.content
    blocks = [it.Text(content)] if isinstance(content, str) else content
    match turn.role:
        case "system":
            messages.append(Message("system", _raw(_told(_texts(blocks, where)))))
        case "assistant":
            messages.append(_answer(blocks, where))
        case "user":
            _add_user(messages, users, blocks, where=where)


def _answer(blocks: Sequence[it.Block], where: str) -> Message:
    said: list[str] = []
    thought: list[str] = []
    calls: list[dict[str, Raw]] = []
    for at, block in enumerate(blocks):
        match block:
            case it.Text():
                said.append(block.text)
            case it.Thinking():
                thought.append(block.thinking)
            case it.ToolUse():
                calls.append(_call(block))
            case it.Redacted():
                pass
            case _:
                raise _misplaced(block, f"{where}.content[{at}]", "an assistant")
    text = "".join(said)
    message = Message("assistant", _NULL if calls and not text else _raw(text))
    message.reasoning_content = "".join(thought) or None
    message.tool_calls = calls or None
    return message


def _call(block: it.ToolUse) -> dict[str, Raw]:
    arguments = _ENCODE(block.input).decode()
    function = _raw({"name": block.name, "arguments": arguments})
    return {"id": _raw(block.id), "type": _raw("function"), "function": function}


def _add_user(
    messages: list[Message], users: dict[int, list[Part]], blocks: Sequence[it.Block], *, where: str
) -> None:
    """Results of tools come first, each as a message; images in them join what the user says.

    What a user says in several turns running is one turn: chat templates want them to alternate.
    """
    parts: list[Part] = []
    results: list[Message] = []
    for at, block in enumerate(blocks):
        match block:
            case it.ToolResult():
                results.append(_result(block, parts))
            case it.Text() | it.Image() | it.Document() | it.Found():
                parts += _parts(block)
            case _:
                raise _misplaced(block, f"{where}.content[{at}]", "a user")
    messages += results
    if messages and messages[-1].role == "user":
        users[len(messages) - 1] += parts
    elif parts or not results:
        users[len(messages)] = parts
        messages.append(Message("user"))


def _result(block: it.ToolResult, pictures: list[Part]) -> Message:
    content = block.content
    inner: list[Part] = []
    if isinstance(content, str):
        inner = [_text(content)]
    elif content is not None:
        inner = [part for each in content for part in _parts(each)]
    pictures.extend(part for part in inner if part["type"] != "text")
    text = _GAP.join(str(part["text"]) for part in inner if part["type"] == "text")
    if block.is_error and not text:
        text = "error"
    return Message("tool", _raw(text), tool_call_id=block.tool_use_id)


def _parts(block: it.Text | it.Image | it.Document | it.Found) -> Iterable[Part]:
    match block:
        case it.Text():
            return [_text(block.text)]
        case it.Image(source=source):
            inline = isinstance(source, it.Inline)
            url = f"data:{source.media_type};base64,{source.data}" if inline else source.url
            return [{"type": "image_url", "image_url": {"url": url}}]
        case it.Document():
            return _document(block)
        case it.Found():
            return [_text(_GAP.join([block.title, block.source, _told(block.content)]))]


def _document(block: it.Document) -> list[Part]:
    head = [_text(text) for text in (block.title, block.context) if text]
    source = block.source
    if isinstance(source, it.PlainText):
        return [*head, _text(source.data)]
    if isinstance(source.content, str):
        return [*head, _text(source.content)]
    return [*head, *(part for each in source.content for part in _parts(each))]


def _plain(parts: Sequence[Part]) -> str | Sequence[Part]:
    """One text as a string: the form that every engine takes."""
    if not parts:
        return ""
    return str(parts[0]["text"]) if len(parts) == 1 and "text" in parts[0] else parts


def _texts(blocks: Sequence[it.Block], where: str) -> Sequence[it.Text]:
    for at, block in enumerate(blocks):
        if not isinstance(block, it.Text):
            raise _misplaced(block, f"{where}.content[{at}]", "a system")
    return [block for block in blocks if isinstance(block, it.Text)]


def _told(text: str | Sequence[it.Text]) -> str:
    return text if isinstance(text, str) else _GAP.join(each.text for each in text)


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _tool(tool: it.Tool, where: str) -> Raw:
    if tool.type not in {None, "custom"}:
        text = f"tool type {tool.type!r} is run by Anthropic; only custom tools are served here"
        raise InvalidInput(text, param=f"{where}.type")
    if tool.input_schema is None:
        raise InvalidInput(
            "a tool needs input_schema, a JSON schema", param=f"{where}.input_schema"
        )
    function: dict[str, object] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return _raw({"type": "function", "function": function})


def _pick(choice: it.Pick) -> object:
    match choice:
        case it.Auto():
            return "auto"
        case it.AnyTool():
            return "required"
        case it.NoTool():
            return "none"
        case it.OneTool():
            return {"type": "function", "function": {"name": choice.name}}


def _misplaced(block: it.Block, where: str, whose: str) -> InvalidInput:
    kind = block.__struct_config__.tag
    return InvalidInput(f"a block of type {kind!r} cannot stand in {whose} message", param=where)


def _raw(value: object) -> Raw:
    return Raw(_ENCODE(value))
