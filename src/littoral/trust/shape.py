"""Shape: whether a JSON value is what a schema allows, by the words of JSON Schema that are known.

Of 2020-12 these are: type, enum, const, properties, required, additionalProperties (true or
false), items, minItems, maxItems, minimum, maximum, minLength, maxLength. Any other is refused when
a schema is declared: one that is not looked at would allow what it forbids.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from littoral.domain.errors import InvalidInput

DEEPEST: Final = 32
"""Levels that a schema may have."""
_REMARKS: Final = frozenset({"$schema", "title", "description"})
_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_SIZES: Final[Mapping[str, tuple[type, int]]] = {
    "minItems": (list, 1),
    "maxItems": (list, -1),
    "minLength": (str, 1),
    "maxLength": (str, -1),
}
_BOUNDS: Final[Mapping[str, int]] = {"minimum": 1, "maximum": -1}
WORDS: Final = frozenset(
    {"type", "enum", "const", "properties", "required", "additionalProperties", "items"}
    | _SIZES.keys()
    | _BOUNDS.keys()
)
"""What is looked at."""


def check(schema: object, *, path: str = "schema", depth: int = 0) -> None:
    """Check that a schema says nothing that is not looked at.

    Raises:
        InvalidInput: It does, or is no schema; ``path`` says where.

    Checked by: tests/unit/trust/test_shape.py.
    """
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        raise InvalidInput(f"{path}: no schema of at most {DEEPEST} levels", param=path)
    words = cast("Mapping[str, object]", schema)
    for word, value in words.items():
        if word in _REMARKS:
            continue
        if word not in WORDS:
            known = ", ".join(sorted(WORDS))
            raise InvalidInput(f"{path}: {word!r} is not known; known: {known}", param=path)
        if not _is_said_well(word, value):
            raise InvalidInput(f"{path}.{word}: this is no value for {word}", param=path)
    for name, each in _within(words).items():
        check(each, path=f"{path}.{name}", depth=depth + 1)


def _is_said_well(word: str, value: object) -> bool:
    match word:
        case "type":
            return all(each in _TYPES for each in _listed(value)) and bool(_listed(value))
        case "enum":
            return isinstance(value, Sequence) and not isinstance(value, str)
        case "required":
            named = isinstance(value, Sequence) and not isinstance(value, str)
            return named and all(isinstance(each, str) for each in cast("list[object]", value))
        case "properties" | "additionalProperties":
            return isinstance(value, Mapping if word == "properties" else bool)
        case "const" | "items":
            return True
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _within(schema: Mapping[str, object]) -> Mapping[str, object]:
    """The schemas within one, by where they stand."""
    named = cast("Mapping[str, object]", schema.get("properties") or {})
    found = {f"properties.{name}": each for name, each in named.items()}
    return {**found, "items": schema["items"]} if "items" in schema else found


def _listed(value: object) -> Sequence[object]:
    """A value that stands alone, or in a list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return cast("Sequence[object]", value)
    return (value,)


def allows(schema: Mapping[str, object], value: object) -> bool:
    """Return whether a schema that ``check`` has passed allows a value, as decoded from JSON.

    Checked by: tests/unit/trust/test_shape.py.
    """
    return all(_holds(word, said, value) for word, said in schema.items()) and _inner(schema, value)


def _holds(word: str, said: object, value: object) -> bool:
    if word == "type":
        return any(_TYPES[str(each)](value) for each in _listed(said))
    if word in {"enum", "const"}:
        several = _listed(said) if word == "enum" else (said,)
        return any(_same(each, value) for each in several)
    if word in _BOUNDS and _TYPES["number"](value):
        return (cast("float", value) - cast("float", said)) * _BOUNDS[word] >= 0
    kind, sign = _SIZES.get(word, (bytes, 0))
    if isinstance(value, kind):
        return (len(cast("str", value)) - cast("float", said)) * sign >= 0
    return True


def _same(one: object, other: object) -> bool:
    """Whether two values are the same; ``True`` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _inner(schema: Mapping[str, object], value: object) -> bool:
    if isinstance(value, list):
        items = cast("Mapping[str, object] | None", schema.get("items"))
        return items is None or all(allows(items, each) for each in cast("list[object]", value))
    if not isinstance(value, dict):
        return True
    fields = cast("dict[str, object]", value)
    known = cast("Mapping[str, Mapping[str, object]]", schema.get("properties") or {})
    required = cast("Sequence[str]", schema.get("required") or ())
    if any(name not in fields for name in required):
        return False
    if schema.get("additionalProperties") is False and fields.keys() - known.keys():
        return False
    return all(allows(each, fields[name]) for name, each in known.items() if name in fields)
