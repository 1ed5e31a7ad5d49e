"""Reading what people send: strict about names, types and unknown fields, clear about where."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

import msgspec
from msgspec.inspect import (
    CollectionType,
    DataclassType,
    DictType,
    Field,
    LiteralType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from littoral.domain.errors import InvalidInput

T = TypeVar("T")
_PLACE = re.compile(r"^(?P<what>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def read(body: bytes, record: type[T]) -> T:
    """Read a JSON body into a record.

    Raises:
        InvalidInput: Not JSON, an unknown field, or a value outside its type.
    """
    try:
        plain = cast("object", msgspec.json.decode(body or b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON that can be read: {error}") from error
    return convert(plain, record)


def convert(plain: object, record: type[T], *, at: str = "") -> T:
    """Turn plain values into a record, refusing unknown fields.

    Args:
        plain: What a JSON or YAML reader gives.
        record: A frozen dataclass.
        at: The path of ``plain`` in the whole, for messages (``"spec"``).

    Raises:
        InvalidInput: An unknown field, or a value outside its type; ``param`` is the path.
    """
    info = type_info(record)
    for path, known in _unknown(plain, info, at):
        raise InvalidInput(
            f"{path}: no such field; known here: {', '.join(sorted(known))}", param=path
        )
    try:
        return msgspec.convert(plain, record)
    except msgspec.ValidationError as error:
        raise _explained(error, plain, info, at=at) from error


def _unknown(value: object, info: Type, path: str) -> Iterator[tuple[str, Sequence[str]]]:
    match info:
        case DataclassType() if isinstance(value, Mapping):
            fields = {field.encode_name: field for field in info.fields}
            yield from _unknown_fields(cast("Mapping[str, object]", value), fields, path)
        case VarTupleType() | CollectionType() if isinstance(value, Sequence):
            for index, item in enumerate(cast("Sequence[object]", value)):
                yield from _unknown(item, info.item_type, f"{path}[{index}]")
        case DictType() if isinstance(value, Mapping):
            for name, item in cast("Mapping[str, object]", value).items():
                yield from _unknown(item, info.value_type, _joined(path, name))
        case UnionType():
            for member in info.types:
                if isinstance(member, DataclassType):
                    yield from _unknown(value, member, path)
        case _:
            return


def _unknown_fields(
    value: Mapping[str, object], fields: Mapping[str, Field], path: str
) -> Iterator[tuple[str, Sequence[str]]]:
    for name, item in value.items():
        if name in fields:
            yield from _unknown(item, fields[name].type, _joined(path, name))
        else:
            yield _joined(path, name), tuple(fields)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _explained(
    error: msgspec.ValidationError, plain: object, info: Type, *, at: str
) -> InvalidInput:
    """Say which path holds which value, and what is allowed there."""
    found = _PLACE.match(str(error))
    what = found["what"] if found else str(error)
    steps = _steps(found["path"]) if found else []
    path = at + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    path = path.removeprefix(".")
    value = _value_at(plain, steps)
    allowed = _allowed(info, steps)
    text = f"{path}: " if path else ""
    text += f"{value!r:.80} will not do: " if isinstance(value, str | int | float) else ""
    text += f"allowed are {', '.join(allowed)}" if allowed else what[:1].lower() + what[1:]
    return InvalidInput(text, param=path or None)


def _steps(path: str) -> list[str | int]:
    return [
        name or (int(index) if index.isdigit() else index)
        for name, index in cast("list[tuple[str, str]]", _STEP.findall(path))
    ]


def _value_at(plain: object, steps: Sequence[str | int]) -> object:
    for step in steps:
        if isinstance(plain, Mapping):
            plain = cast("Mapping[object, object]", plain).get(step)
        elif isinstance(plain, list) and isinstance(step, int):
            plain = cast("list[object]", plain)[step]
        else:
            return None
    return plain


def _allowed(info: Type, steps: Sequence[str | int]) -> Sequence[str]:
    for step in steps:
        info = _inner(info, step)
    return tuple(str(value) for value in info.values) if isinstance(info, LiteralType) else ()


def _inner(info: Type, step: str | int) -> Type:
    match info:
        case DataclassType():
            return next(field.type for field in info.fields if field.encode_name == step)
        case VarTupleType() | CollectionType():
            return info.item_type
        case DictType():
            return info.value_type
        case _:
            return info
