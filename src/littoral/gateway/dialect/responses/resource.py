"""Resource: a response as clients see it, every key present, and the items of its output."""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from littoral.gateway.dialect.responses.tools import SERVED
from littoral.gateway.dialect.responses.wish import NULL, Choice, Format, Named, Pairs, Tool, Wish
from littoral.gateway.said import Logprob

ENCODE = msgspec.json.Encoder().encode
"""Every key of a struct is written, unless the struct says otherwise."""


class TextOut(Struct, kw_only=True):
    """A text the model wrote."""

    type: str = "output_text"
    text: str
    annotations: list[object] = []
    logprobs: list[Logprob] = []


class RefusalOut(Struct, kw_only=True):
    """The model's words where it declines."""

    type: str = "refusal"
    refusal: str


class Thought(Struct):
    """A text of the model's reasoning (``reasoning_text``) or of its summary (``summary_text``)."""

    type: str
    text: str


class MessageOut(Struct, kw_only=True):
    """A message of the output."""

    id: str
    type: str = "message"
    status: str = "completed"
    role: str = "assistant"
    content: list[TextOut | RefusalOut]


class ReasoningOut(Struct, kw_only=True):
    """Reasoning, as text or as its summary."""

    id: str
    type: str = "reasoning"
    summary: list[Thought]
    content: list[Thought]
    status: str = "completed"


class CallOut(Struct, kw_only=True):
    """A call of a function."""

    id: str
    type: str = "function_call"
    status: str = "completed"
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str


class CustomCallOut(Struct, kw_only=True):
    """A call of a custom tool."""

    id: str
    type: str = "custom_tool_call"
    status: str = "completed"
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str


ItemOut = MessageOut | ReasoningOut | CallOut | CustomCallOut


class _Cached(Struct):
    cached_tokens: int
    cache_write_tokens: int = 0


class _Reasoned(Struct):
    reasoning_tokens: int


class UsageOut(Struct, kw_only=True):
    """Tokens used, with both details."""

    input_tokens: int
    input_tokens_details: _Cached
    output_tokens: int
    output_tokens_details: _Reasoned
    total_tokens: int


def usage_of(tokens_in: int, tokens_out: int, *, cached: int, reasoned: int) -> UsageOut:
    """Make a usage; all are counts of tokens."""
    return UsageOut(
        input_tokens=tokens_in,
        input_tokens_details=_Cached(cached),
        output_tokens=tokens_out,
        output_tokens_details=_Reasoned(reasoned),
        total_tokens=tokens_in + tokens_out,
    )


class Reason(Struct):
    """Why a response is incomplete."""

    reason: str


class Fault(Struct):
    """Why a response failed."""

    code: str
    message: str


class _Type(Struct):
    type: str


class _TextConfig(Struct, omit_defaults=True):
    format: dict[str, object] | _Type
    verbosity: str | None = None


class _Reasoning(Struct):
    effort: str | None
    summary: str | None


class _FunctionOut(Struct, kw_only=True):
    type: str = "function"
    name: str | None
    description: str | None
    parameters: Raw
    strict: bool


class _CustomOut(Struct, kw_only=True, omit_defaults=True):
    type: str
    name: str | None
    description: str | None = None
    format: Raw = NULL


class _Allowed(Struct):
    type: str
    mode: str
    tools: list[Named]


class _SpaceOut(Struct, kw_only=True):
    type: str = "namespace"
    name: str | None
    description: str | None
    tools: "list[ToolOut]"


ToolOut = _FunctionOut | _CustomOut | _SpaceOut


class Resource(Struct, kw_only=True):
    """A response. Null is a value here, so nothing is left out."""

    id: str
    object: str = "response"
    created_at: int
    completed_at: int | None = None
    status: str = "in_progress"
    background: bool
    error: Fault | None = None
    incomplete_details: Reason | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[ItemOut] = []
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: _Reasoning
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    text: _TextConfig
    tool_choice: str | Choice | _Allowed
    tools: list[ToolOut]
    top_logprobs: int
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    truncation: str
    usage: UsageOut | None = None
    user: str | None
    metadata: Pairs


def name_of(request: str) -> str:
    """The part of a request's id that its response, and the response's items, are named after."""
    return request.removeprefix("req_")


def resource_of(wish: Wish, name: str, created_s: int) -> Resource:
    """Make a response that has only begun: what was asked, and no answer yet.

    Args:
        wish: Whose values are repeated; those it does not give are the defaults.
        name: What its id and those of its items are made of.
        created_s: UTC seconds.
    """
    reasoning, tier = wish.reasoning, wish.service_tier
    return Resource(
        id=f"resp_{name}",
        created_at=created_s,
        background=bool(wish.background),
        instructions=wish.instructions,
        max_output_tokens=wish.max_output_tokens,
        max_tool_calls=wish.max_tool_calls,
        model=wish.model,
        parallel_tool_calls=wish.parallel_tool_calls is not False,
        previous_response_id=wish.previous_response_id,
        prompt_cache_key=wish.prompt_cache_key,
        reasoning=_Reasoning(reasoning and reasoning.effort, summary_of(wish)),
        safety_identifier=wish.safety_identifier,
        service_tier="default" if tier is None or tier == "auto" else tier,
        store=bool(wish.store),
        temperature=1.0 if wish.temperature is None else wish.temperature,
        text=_text(wish),
        tool_choice=_choice(wish.tool_choice),
        tools=[_tool(tool) for tool in wish.tools or () if tool.type in SERVED],
        top_logprobs=wish.top_logprobs or 0,
        top_p=1.0 if wish.top_p is None else wish.top_p,
        presence_penalty=wish.presence_penalty or 0.0,
        frequency_penalty=wish.frequency_penalty or 0.0,
        truncation=wish.truncation or "disabled",
        user=wish.user,
        metadata=wish.metadata or {},
    )


def summary_of(wish: Wish) -> str | None:
    """The kind of summary of the reasoning that was asked for, if one was."""
    reasoning = wish.reasoning
    asked = (reasoning.summary or reasoning.generate_summary) if reasoning is not None else None
    return None if asked == "none" else asked


def _choice(choice: str | Choice | None) -> str | Choice | _Allowed:
    if isinstance(choice, Choice) and choice.type == "allowed_tools":
        return _Allowed(choice.type, choice.mode, choice.tools or [])
    return choice or "auto"


def _text(wish: Wish) -> _TextConfig:
    text = wish.text
    wanted: Format | None = text.format if text is not None else None
    verbosity = text.verbosity if text is not None else None
    if wanted is None or wanted.type != "json_schema":
        return _TextConfig(_Type(wanted.type if wanted is not None else "text"), verbosity)
    shape: dict[str, object] = {
        "type": wanted.type,
        "name": wanted.name or "answer",
        "description": wanted.description,
        "schema": _flat(wanted.schema),
        "strict": bool(wanted.strict),
    }
    return _TextConfig(shape, verbosity)


def _tool(tool: Tool) -> ToolOut:
    if tool.type == "namespace":
        inner = [_tool(each) for each in tool.tools or ()]
        return _SpaceOut(name=tool.name, description=tool.description, tools=inner)
    if tool.type == "custom":
        return _CustomOut(
            type=tool.type, name=tool.name, description=tool.description, format=_flat(tool.format)
        )
    return _FunctionOut(
        name=tool.name,
        description=tool.description,
        parameters=_flat(tool.parameters),
        strict=bool(tool.strict),
    )


def _flat(given: Raw) -> Raw:
    """JSON as it came, on one line: an event's data may have no other."""
    data = bytes(given)
    if b"\n" in data or b"\r" in data:
        return Raw(msgspec.json.format(data, indent=-1))
    return given
