"""JSON schemas of the types that read requests.

``msgspec.json.schema_components`` refuses types with a raw value that may be missing, of which
these are full; what stands here reads the same description of them, ``msgspec.inspect``.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import inspect

Json: TypeAlias = dict[str, object]
_WORDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "pattern": "pattern",
}
_SIZES: Final[Mapping[type, tuple[str, str]]] = {
    inspect.StrType: ("minLength", "maxLength"),
    inspect.ListType: ("minItems", "maxItems"),
    inspect.DictType: ("minProperties", "maxProperties"),
}
_ANYTHING: Final = frozenset({inspect.AnyType, inspect.RawType})
_PLAIN: Final[Mapping[type, str]] = {
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.NoneType: "null",
}


class Schemas:
    """Components of one document, each with a name of its own."""

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self.components: dict[str, Json] = {}

    def refer(self, kind: type) -> Json:
        """Refer to a type's component, which is made the first time."""
        if kind not in self._names:
            name = self._names[kind] = self._name(kind)
            self.components[name] = {}
            self.components[name] = self._struct(kind)
        return {"$ref": f"#/components/schemas/{self._names[kind]}"}

    def _name(self, kind: type) -> str:
        name = kind.__name__.lstrip("_")
        taken = set(self._names.values())
        if name not in taken:
            return name
        words = [w.title() for w in kind.__module__.split(".")[2:] if w != "dialect"]
        return "".join([*words, name])

    def _struct(self, kind: type) -> Json:
        info = inspect.type_info(kind)
        if not isinstance(info, inspect.StructType):
            raise TypeError(f"{kind!r} is no struct")
        fields: dict[str, object] = {}
        required: list[str] = []
        if info.tag_field is not None:
            fields[info.tag_field] = {"const": info.tag}
            required.append(info.tag_field)
        for field in info.fields:
            fields[field.encode_name] = self._schema(field.type)
            if field.required:
                required.append(field.encode_name)
        found: Json = {"type": "object", "properties": fields}
        if required:
            found["required"] = required
        if kind.__doc__:
            found["description"] = kind.__doc__.strip().partition("\n")[0]
        return found

    def _schema(self, info: inspect.Type) -> Json:
        schema: Json
        match info:
            case inspect.Metadata():
                schema = self._schema(info.type)
            case inspect.StructType():
                schema = self.refer(info.cls)
            case inspect.LiteralType():
                schema = {"enum": list(info.values)}
            case inspect.UnionType():
                schema = {"anyOf": [self._schema(each) for each in info.types]}
            case inspect.ListType():
                schema = {"type": "array", "items": self._schema(info.item_type)}
            case inspect.DictType():
                schema = {"type": "object", "additionalProperties": self._schema(info.value_type)}
            case _:
                schema = {} if type(info) in _ANYTHING else {"type": _PLAIN[type(info)]}
        return _bounded(info, schema)


def _bounded(info: inspect.Type, schema: Json) -> Json:
    """Add the bounds that a type has."""
    for name, word in _WORDS.items():
        _add(schema, word, getattr(info, name, None))
    low, high = _SIZES.get(type(info), ("", ""))
    if low:
        _add(schema, low, getattr(info, "min_length", None))
        _add(schema, high, getattr(info, "max_length", None))
    return schema


def _add(schema: Json, word: str, value: object) -> None:
    if value is not None:
        schema[word] = value
