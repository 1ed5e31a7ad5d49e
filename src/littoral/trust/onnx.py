"""ONNX: what a graph file says, walked as protobuf wire format without any library for it.

Every loop is bounded by the bytes that are really there and by the caps below; the numbers in
tensors are stepped over. What could make a runtime open another file or load code is refused.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from littoral.domain.errors import Damaged, InvalidInput, TooLarge
from littoral.domain.model import Facts
from littoral.domain.units import Bytes

SIZE_MAX: Final = (1 << 31) - 1
"""A protobuf message cannot be longer."""
FIELDS_MAX: Final = 1 << 18
DEPTH_MAX: Final = 8
DIMENSIONS_MAX: Final = 16
ELEMENTS_MAX: Final = 1 << 50
NAME_MAX: Final = 4096
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
"""Sets of operators that the runtime has built in; an operator of another set is foreign code."""
REFUSED_OPERATORS: Final = frozenset({"EPContext"})
"""Built in, but they read files or run what the model brings."""

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_TYPES: Final[Mapping[int, tuple[str, int]]] = {
    1: ("F32", 32),
    2: ("U8", 8),
    3: ("I8", 8),
    4: ("U16", 16),
    5: ("I16", 16),
    6: ("I32", 32),
    7: ("I64", 64),
    9: ("BOOL", 8),
    10: ("F16", 16),
    11: ("F64", 64),
    12: ("U32", 32),
    13: ("U64", 64),
    16: ("BF16", 16),
    **dict.fromkeys(range(17, 21), ("F8", 8)),
    21: ("U4", 4),
    22: ("I4", 4),
}
"""Element types that are accepted: name and bits."""
_POSITIONS: Final = "position_embeddings"

_Value: TypeAlias = int | memoryview


class _Field(NamedTuple):
    number: int
    wire: int
    value: _Value


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the walk found so far, and how much it has left to do."""

    left: int = FIELDS_MAX
    graph: bool = False
    nodes: int = 0
    elements: int = 0
    context: int = 0
    bits: Counter[str] = field(default_factory=Counter[str])

    def spend(self) -> None:
        """Count one field or number that is looked at."""
        self.left -= 1
        if self.left < 0:
            raise TooLarge(f"the ONNX file has more than {FIELDS_MAX} fields")


def is_onnx(view: memoryview) -> bool:
    """Whether a file begins as an ONNX model does: with its format's version, 1 to 63."""
    return len(view) > 2 and view[0] == 0x08 and 0 < view[1] < 64


def read_onnx(view: memoryview) -> Facts:
    """Walk an ONNX file and return what it says.

    Args:
        view: The whole file.

    Raises:
        InvalidInput: It holds what is not accepted: data in other files, operators or functions
            of its own, training steps, unknown types.
        TooLarge: More fields, deeper nesting or longer names than the caps.
        Damaged: Truncated, or it contradicts itself.

    Source: the protobuf encoding, and ``onnx.proto`` of ONNX.
    Checked by: tests/unit/trust/test_onnx.py, with hostile files and a fuzzer.
    """
    if len(view) > SIZE_MAX:
        raise TooLarge(f"an ONNX file has at most {SIZE_MAX} bytes")
    seen = _Seen()
    for number, _, value in _fields(view, seen):
        match number, value:
            case 7, memoryview():
                seen.graph = True
                _graph(value, seen, depth=1)
            case 8, memoryview():
                _operator_set(value, seen)
            case 20, _:
                raise InvalidInput("this ONNX file holds training steps; export it for inference")
            case 25, _:
                raise InvalidInput(
                    "this ONNX file defines functions of its own; export it with them inlined"
                )
            case _:
                continue
    if not seen.graph or not seen.nodes:
        raise Damaged("this ONNX file holds no graph")
    kind = seen.bits.most_common(1)[0][0] if seen.bits else "none"
    return Facts(
        format="onnx",
        architecture="onnx",
        parameters=seen.elements,
        context=seen.context,
        layers=0,
        kv_bytes_per_token=Bytes(0),
        quantisation=kind,
        has_chat_template=False,
    )


def _fields(view: memoryview, seen: _Seen) -> Iterator[_Field]:
    """Every field of one message, in order."""
    at, end = 0, len(view)
    while at < end:
        seen.spend()
        tag, at = _varint(view, at)
        wire, value = tag & 7, 0
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield _Field(tag >> 3, wire, value)
            continue
        if wire == _LENGTH:
            length, at = _varint(view, at)
        elif wire in {_EIGHT, _FOUR}:
            length = 8 if wire == _EIGHT else 4
        else:
            raise Damaged(f"the ONNX file has a field of wire type {wire}")
        if length > end - at:
            raise Damaged("the ONNX file is truncated: a field is longer than what is there")
        yield _Field(tag >> 3, wire, view[at : at + length])
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(view):
            raise Damaged("the ONNX file is truncated within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise Damaged("the ONNX file has a number of more than 10 bytes")


def _text(value: _Value, what: str) -> str:
    if isinstance(value, int):
        raise Damaged(f"the ONNX file has a number for {what}")
    if len(value) > NAME_MAX:
        raise TooLarge(f"{what} in the ONNX file has {len(value)} bytes; at most {NAME_MAX}")
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise Damaged(f"{what} in the ONNX file is not UTF-8") from error


def _operator_set(view: memoryview, seen: _Seen) -> None:
    for number, _, value in _fields(view, seen):
        if number == 1:
            _check_domain(_text(value, "an operator set"))


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        known = ", ".join(sorted(filter(None, DOMAINS)))
        raise InvalidInput(
            f"this ONNX file needs the custom operators {domain[:64]!r}; accepted are {known}"
        )


def _graph(view: memoryview, seen: _Seen, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise TooLarge(f"the ONNX file nests graphs deeper than {DEPTH_MAX}")
    for number, _, value in _fields(view, seen):
        if isinstance(value, int):
            continue
        if number == 1:
            seen.nodes += 1
            _node(value, seen, depth=depth)
        elif number == 5:
            _tensor(value, seen, counted=True)
        elif number == 15:
            _sparse(value, seen)


def _node(view: memoryview, seen: _Seen, *, depth: int) -> None:
    for number, _, value in _fields(view, seen):
        if number == 4 and _text(value, "an operator") in REFUSED_OPERATORS:
            raise InvalidInput("this ONNX file holds an operator that runs what the model brings")
        if number == 7:
            _check_domain(_text(value, "an operator's set"))
        if number == 5 and isinstance(value, memoryview):
            _attribute(value, seen, depth=depth)


def _attribute(view: memoryview, seen: _Seen, *, depth: int) -> None:
    for number, _, value in _fields(view, seen):
        if isinstance(value, int):
            continue
        if number in {5, 10}:
            _tensor(value, seen, counted=False)
        elif number in {6, 11}:
            _graph(value, seen, depth=depth + 1)
        elif number in {22, 23}:
            _sparse(value, seen)


def _sparse(view: memoryview, seen: _Seen) -> None:
    for number, _, value in _fields(view, seen):
        if number in {1, 2} and isinstance(value, memoryview):
            _tensor(value, seen, counted=True)


def _tensor(view: memoryview, seen: _Seen, *, counted: bool) -> None:
    shape: list[int] = []
    name, kind, raw = "", 0, -1
    for number, wire, value in _fields(view, seen):
        match number, value:
            case 1, memoryview():
                shape += _packed(value, seen)
            case 1, int():
                shape.append(value)
            case 2, int():
                kind = value
            case 8, _:
                name = _text(value, "a tensor's name")
            case 9, memoryview() if wire == _LENGTH:
                raw = len(value)
            case (13, _) | (14, 1):
                raise InvalidInput(
                    "this ONNX file keeps its numbers in other files; export it as one file"
                )
            case _:
                continue
    _count(seen if counted else None, name=name, kind=kind, shape=shape, raw=raw)


def _packed(view: memoryview, seen: _Seen) -> Iterator[int]:
    at = 0
    while at < len(view):
        seen.spend()
        value, at = _varint(view, at)
        yield value


def _count(seen: _Seen | None, *, name: str, kind: int, shape: list[int], raw: int) -> None:
    """Check a tensor's shape against its bytes, and count it."""
    elements = math.prod(shape) if len(shape) <= DIMENSIONS_MAX else -1
    if not 0 <= elements <= ELEMENTS_MAX:
        raise Damaged(f"the ONNX tensor {name[:64]!r} has the impossible shape {shape[:16]}")
    if kind == 8 and raw < 0:
        return
    if kind not in _TYPES:
        raise InvalidInput(f"the ONNX tensor {name[:64]!r} has type {kind}, not known here")
    label, bits = _TYPES[kind]
    if raw >= 0 and raw != (elements * bits + 7) // 8:
        raise Damaged(f"the ONNX tensor {name[:64]!r} of shape {shape} has {raw} bytes")
    if seen is None:
        return
    seen.elements += elements
    seen.bits[label] += elements * bits
    if _POSITIONS in name and len(shape) == 2:
        seen.context = max(seen.context, shape[0])
