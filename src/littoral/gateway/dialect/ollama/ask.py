"""From Ollama's requests to the chats and embeddings that engines understand."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec
from msgspec import Raw

from littoral.domain.errors import InvalidInput
from littoral.gateway import request
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader
from littoral.gateway.dialect.ollama import body as it
from littoral.gateway.embedding import embedding_asked
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.request import Message, ResponseFormat, chat_asked

LATEST: Final = ":latest"
"""The tag that Ollama's clients add to names without one."""
_ENCODE: Final = msgspec.json.Encoder().encode
_OPTIONS: Final = frozenset(it.Options.__struct_fields__)
_NULL: Final = Raw(b"null")
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw] | None).decode
_MEDIA: Final = {"/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""By the first letters of an image in base64; others are taken for PNG."""


def _unknown_options(fields: dict[str, Raw]) -> Sequence[str]:
    options = cast("dict[str, Raw] | None", _FIELDS(fields.get("options", _NULL)))
    return [f"options.{name}" for name in options or () if name not in _OPTIONS]


_read_chat: Final = Reader(it.StrictChat, it.Chat, _unknown_options).read
_read_generate: Final = Reader(it.StrictGenerate, it.Generate, _unknown_options).read
_read_embed: Final = Reader(it.StrictEmbed, it.Embed).read
_read_old_embed: Final = Reader(it.StrictOldEmbed, it.OldEmbed).read


def read_chat(data: bytes) -> Asked | Refusal:
    """Decode the body of a chat."""
    found = _read_chat(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    chat = request.Chat(model=named(body.model), messages=_messages(body.messages))
    if body.tools:
        chat.tools = [Raw(_ENCODE(tool)) for tool in body.tools]
    return _asked(chat, body, ignored)


def read_generate(data: bytes) -> Asked | Refusal:
    """Decode the body of a generation, which is a chat of one message."""
    found = _read_generate(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    if body.raw or body.suffix:
        param = "raw" if body.raw else "suffix"
        text = f"{param} needs a completion without a template: ask /v1/completions"
        return refuse(InvalidInput, text, param=param)
    turns = [it.Turn("system", body.system)] if body.system else []
    turns.append(it.Turn("user", body.prompt, images=body.images))
    return _asked(request.Chat(model=named(body.model), messages=_messages(turns)), body, ignored)


def read_embed(data: bytes) -> Asked | Refusal:
    """Decode the body of an embedding."""
    found = _read_embed(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    given: dict[str, object] = {"model": named(body.model), "input": body.input}
    given["encoding_format"] = "float"
    if body.dimensions is not None:
        given["dimensions"] = body.dimensions
    return embedding_asked(_ENCODE(given), ignored, origin=body)


def read_old_embed(data: bytes) -> Asked | Refusal:
    """Decode the body of an embedding in the older shape."""
    found = _read_old_embed(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    given = {"model": named(body.model), "input": body.prompt, "encoding_format": "float"}
    return embedding_asked(_ENCODE(given), ignored, origin=body)


def named(model: str) -> str:
    """A model's name without the tag that says nothing."""
    return model.removesuffix(LATEST) or model


def _asked(chat: request.Chat, body: it.Generation, ignored: Sequence[str]) -> Asked | Refusal:
    chat.stream = body.stream is not False
    options = body.options or it.Options()
    bound = options.num_predict
    chat.max_tokens = bound if bound is not None and bound > 0 else None
    chat.temperature, chat.top_p, chat.top_k = options.temperature, options.top_p, options.top_k
    chat.min_p, chat.seed, chat.stop = options.min_p, options.seed, options.stop
    chat.repeat_penalty = options.repeat_penalty
    chat.presence_penalty = options.presence_penalty
    chat.frequency_penalty = options.frequency_penalty
    if body.think is not None:
        chat.chat_template_kwargs = _raw({"enable_thinking": body.think is not False})
        chat.reasoning_effort = body.think if isinstance(body.think, str) else None
    form = body.format
    if isinstance(form, str) and form not in {"", "json"}:
        return refuse(InvalidInput, "format is 'json' or a JSON schema", param="format")
    if form == "json":
        chat.response_format = ResponseFormat("json_object")
    elif form:
        schema = _raw({"name": "answer", "schema": form, "strict": True})
        chat.response_format = ResponseFormat("json_schema", schema)
    asked = chat_asked(chat, ignored)
    asked.origin = body
    return asked


def _messages(turns: Sequence[it.Turn]) -> list[Message]:
    """Results of tools find their calls by name, in order: Ollama's calls have no ids."""
    messages: list[Message] = []
    waiting: list[tuple[str, str]] = []
    made = 0
    for turn in turns:
        message = Message(turn.role, _raw(_content(turn)))
        if turn.thinking and turn.role == "assistant":
            message.reasoning_content = turn.thinking
        if turn.tool_calls and turn.role == "assistant":
            message.tool_calls = []
            for call in turn.tool_calls:
                name, made = call.id or f"call_{made}", made + 1
                waiting.append((name, call.function.name))
                message.tool_calls.append(_call(name, call))
        if turn.role == "tool":
            message.tool_call_id = turn.tool_call_id or _answered(waiting, turn.tool_name)
        messages.append(message)
    return messages


def _answered(waiting: list[tuple[str, str]], tool: str | None) -> str:
    for each in waiting:
        if tool is None or each[1] == tool:
            waiting.remove(each)
            return each[0]
    return f"call_{tool or 'unknown'}"


def _call(name: str, call: it.Call) -> dict[str, Raw]:
    arguments = _ENCODE(call.function.given).decode()
    function = _raw({"name": call.function.name, "arguments": arguments})
    return {"id": _raw(name), "type": _raw("function"), "function": function}


def _content(turn: it.Turn) -> object:
    text = turn.content or ""
    if not turn.images:
        return text
    parts: list[dict[str, object]] = [{"type": "text", "text": text}] if text else []
    for image in turn.images:
        url = image if image.startswith("data:") else _inline(image)
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _inline(image: str) -> str:
    return f"data:{_MEDIA.get(image[:4], 'image/png')};base64,{image}"


def _raw(value: object) -> Raw:
    return Raw(_ENCODE(value))
