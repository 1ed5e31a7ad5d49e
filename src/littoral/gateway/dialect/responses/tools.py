"""Tools: those of a wish as functions that an engine may call, and the way back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.dialect.responses.wish import NULL, Choice, Tool, Wish

SERVED: Final = ("function", "custom", "namespace")
"""Types of tools: the caller runs them all; a namespace holds others."""
OPTIONAL: Final = ("web_search", "web_search_preview")
"""Tools that agents offer unasked, and that may be left out where there are others."""
FREE_TEXT: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    b'"additionalProperties":false}'
)
"""Parameters of a custom tool, as a function: the one text it takes."""
_ENCODE = msgspec.json.Encoder().encode


class Target(Struct, frozen=True):
    """What a name that an engine calls stands for.

    Args:
        name: The tool's own.
        namespace: Whose it is, if anyone's.
        custom: Whether it takes free text.
    """

    name: str
    namespace: str | None = None
    custom: bool = False


def full_name(namespace: str | None, name: str) -> str:
    """The name by which an engine knows a tool."""
    return name if namespace is None else f"{namespace}__{name}"


def targets_of(wish: Wish) -> Mapping[str, Target]:
    """What the names of a wish's tools stand for."""
    targets: dict[str, Target] = {}
    for namespace, tool, _ in _flat(wish.tools or ()):
        name = tool.name or ""
        targets[full_name(namespace, name)] = Target(name, namespace, tool.type == "custom")
    return targets


def tools_of(wish: Wish) -> tuple[list[Raw], Raw | None]:
    """Functions for the engine, and its ``tool_choice``; None where there is nothing to choose.

    Raises:
        InvalidInput: A tool, or the choice, is not served here.
    """
    given = wish.tools or []
    found: dict[str, Raw] = {}
    alone = all(each.type in OPTIONAL for each in given)
    for namespace, tool, at in _flat(given):
        _check(tool, at, alone=alone)
        if tool.type not in OPTIONAL:
            found[full_name(namespace, tool.name or "")] = _function(namespace, tool)
    choice = wish.tool_choice
    if choice is None or not found:
        return [*found.values()], None
    if isinstance(choice, str):
        return [*found.values()], Raw(_ENCODE(choice))
    return _chosen(found, choice)


def free_text(arguments: str) -> str:
    """The text that a custom tool was called with; arguments of another shape are it themselves."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, str])["input"]
    except (msgspec.MsgspecError, KeyError):
        return arguments


def need(value: str | None, param: str) -> None:
    """Refuse what is missing.

    Raises:
        InvalidInput: It is.
    """
    if not value:
        raise InvalidInput(f"{param} is missing", param=param)


def left_out(tools: Sequence[Tool]) -> list[str]:
    """Names of tools that have no effect."""
    return [f"tools[{at}].{tool.type}" for at, tool in enumerate(tools) if tool.type in OPTIONAL]


def _flat(tools: Sequence[Tool]) -> Iterator[tuple[str | None, Tool, str]]:
    """Every tool with its namespace and its path."""
    for at, tool in enumerate(tools):
        if tool.type != "namespace":
            yield None, tool, f"tools[{at}]"
            continue
        need(tool.name, f"tools[{at}].name")
        for inner_at, inner in enumerate(tool.tools or ()):
            yield tool.name, inner, f"tools[{at}].tools[{inner_at}]"


def _check(tool: Tool, at: str, *, alone: bool) -> None:
    if tool.type in OPTIONAL and not alone:
        return
    if tool.type not in {"function", "custom"}:
        raise InvalidInput(
            f"{tool.type!r} is run by its provider and not served here; served are tools of type "
            "function, custom and namespace, which the caller runs",
            param=f"{at}.type",
        )
    need(tool.name, f"{at}.name")


def _function(namespace: str | None, tool: Tool) -> Raw:
    function: dict[str, object] = {"name": full_name(namespace, tool.name or "")}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.type == "custom":
        function["parameters"] = FREE_TEXT
    elif tool.parameters != NULL:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return Raw(_ENCODE({"type": "function", "function": function}))


def _chosen(found: Mapping[str, Raw], choice: Choice) -> tuple[list[Raw], Raw | None]:
    if choice.type == "allowed_tools":
        names = {tool.name for tool in choice.tools or ()}
        kept = [raw for name, raw in found.items() if name in names]
        return kept, Raw(_ENCODE(choice.mode)) if kept else None
    if choice.type not in {"function", "custom"}:
        raise InvalidInput(
            f"tool_choice of type {choice.type!r} is not served here; served are 'none', 'auto', "
            "'required', and types function, custom and allowed_tools",
            param="tool_choice.type",
        )
    if choice.name not in found:
        names = ", ".join(map(repr, found))
        message = f"no tool is named {choice.name!r}; there are {names}"
        raise InvalidInput(message, param="tool_choice.name")
    function = {"type": "function", "function": {"name": choice.name}}
    return [*found.values()], Raw(_ENCODE(function))
