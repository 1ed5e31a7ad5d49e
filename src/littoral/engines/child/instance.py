"""The smallest value that a JSON schema accepts: the same one, always."""

from collections.abc import Mapping
from typing import TypeAlias, cast

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

DEPTH = 16


def instance(schema: JSON) -> JSON:
    """Return a minimal instance of a JSON schema: first choices, required members only.

    Follows ``$ref`` within the schema, takes the first of ``enum``, ``anyOf``, ``oneOf`` and
    ``allOf``, and stops at 16 levels.
    """
    return _instance(schema, root=schema, depth=0)


def _instance(schema: JSON, *, root: JSON, depth: int) -> JSON:
    if not isinstance(schema, dict) or depth > DEPTH:
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _instance(_resolved(reference, root), root=root, depth=depth + 1)
    if "const" in schema:
        return schema["const"]
    for choices in ("enum", "anyOf", "oneOf", "allOf"):
        found = schema.get(choices)
        if isinstance(found, list) and found:
            first = found[0]
            return first if choices == "enum" else _instance(first, root=root, depth=depth + 1)
    return _typed(schema, root=root, depth=depth)


def _typed(schema: Mapping[str, JSON], *, root: JSON, depth: int) -> JSON:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    match kind:
        case "object":
            return _object(schema, root=root, depth=depth)
        case "array":
            return [_instance(schema.get("items", {}), root=root, depth=depth + 1)]
        case "string":
            return "foo".ljust(_whole(schema.get("minLength"), 0), "o")
        case "integer" | "number":
            low, high = _whole(schema.get("minimum"), 3), _whole(schema.get("maximum"), 3)
            return max(low, 3) if low > 3 else min(high, 3)
        case "boolean":
            return True
        case _:
            return None


def _object(schema: Mapping[str, JSON], *, root: JSON, depth: int) -> JSON:
    members = schema.get("properties")
    if not isinstance(members, dict):
        return {}
    required = schema.get("required")
    names = cast("list[str]", required) if isinstance(required, list) else list(members)
    return {name: _instance(members.get(name, {}), root=root, depth=depth + 1) for name in names}


def _resolved(reference: str, root: JSON) -> JSON:
    place: JSON = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            inside = cast("dict[str, JSON]", place) if isinstance(place, dict) else {}
            place = inside.get(part)
    return place


def _whole(value: JSON, default: int) -> int:
    return int(value) if isinstance(value, int | float) else default
