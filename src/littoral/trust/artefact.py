"""Artefacts: what a weights file says, read before any native parser sees it.

No declared count is trusted: every loop is bounded by the bytes that are really there and by the
caps below, and nothing is copied that is not needed.
"""

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, cast

from littoral.domain.errors import Damaged, InvalidInput, TooLarge
from littoral.domain.model import Facts
from littoral.domain.units import Bytes
from littoral.trust.quantisation import BLOCKS, MIXTURES

HEADER_MAX: Final = 64 << 20
KEYS_MAX: Final = 4096
TENSORS_MAX: Final = 65_536
STRING_MAX: Final = 1 << 20
ARRAY_MAX: Final = 1 << 21
NESTING_MAX: Final = 2
DIMENSIONS_MAX: Final = 4
ELEMENTS_MAX: Final = 1 << 50
ALIGNMENT_MAX: Final = 65_536
TEMPLATE_MAX: Final = 64 << 10
NUMBERS_MAX: Final = 512
"""Longest array of numbers that is kept (one a layer); longer ones are walked over."""
TEXT_MAX: Final = 256
"""Characters of a text that are kept."""

_MAGIC: Final = b"GGUF"
_STRING, _ARRAY = 8, 9
_SCALARS: Final[Mapping[int, struct.Struct]] = {
    number: struct.Struct("<" + code)
    for number, code in enumerate(["B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d"])
    if code
}
_U32 = _SCALARS[4]
_U64 = _SCALARS[10]
_TEMPLATE = "tokenizer.chat_template"

_DISGUISES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (257, b"ustar", "tar"),
    *((0, bytes([0x80, protocol]), "pickle") for protocol in range(2, 6)),
)

_Value: TypeAlias = str | float | int | bool | list[float] | None


class _Tensor(NamedTuple):
    start: int
    end: int
    elements: int
    kind: str
    name: str
    block: int


class Place(NamedTuple):
    """A tensor in a file: its name and type, where its bytes are, and those of one block."""

    name: str
    kind: str
    begin: int
    length: int
    block: int


def refuse_disguised(prefix: bytes) -> None:
    """Refuse an archive or a pickle, whatever its name says.

    Args:
        prefix: The first 512 bytes of the file, or all of a shorter one.

    Raises:
        InvalidInput: It begins as zip, 7z, rar, gzip, bzip2, xz, zstd, tar or pickle does.

    Checked by: tests/unit/trust/test_artefact.py.
    """
    for at, magic, name in _DISGUISES:
        if prefix[at : at + len(magic)] == magic:
            raise InvalidInput(
                f"this is a {name} file; accepted are GGUF, ONNX and CTranslate2 weights"
            )


def read_gguf(view: memoryview, *, size: int) -> Facts:
    """Check the header of a GGUF file and return what it says.

    Args:
        view: The file from its first byte: all of it, or at least its header.
        size: Length of the whole file, bytes.

    Raises:
        InvalidInput: Not a GGUF file, or of a version that is not read.
        TooLarge: A count, string or template is over its cap.
        Damaged: Truncated, or it contradicts itself.

    Source: the GGUF specification, versions 2 and 3.
    Checked by: tests/unit/trust/test_artefact.py, with hostile headers and a fuzzer.
    """
    if bytes(view[:4]) != _MAGIC:
        refuse_disguised(bytes(view[:512]))
        raise InvalidInput("this is not a GGUF file: it does not begin with 'GGUF'")
    values, placed, _ = _header(view, size=size)
    return _facts(values, placed)


def places_of(view: memoryview) -> tuple[Place, ...]:
    """Where the tensors of a GGUF file are, in its header's order; all of the file is given.

    Raises:
        InvalidInput: Not a GGUF file, or of a version that is not read.
        TooLarge: A count, string or template is over its cap.
        Damaged: Truncated, or it contradicts itself.

    Checked by: tests/unit/trust/test_artefact.py.
    """
    if bytes(view[:4]) != _MAGIC:
        raise InvalidInput("this is not a GGUF file: it does not begin with 'GGUF'")
    _, tensors, base = _header(view, size=len(view))
    return tuple(
        Place(
            name=tensor.name,
            kind=tensor.kind,
            begin=base + tensor.start,
            length=tensor.end - tensor.start,
            block=tensor.block,
        )
        for tensor in tensors
    )


def _header(view: memoryview, *, size: int) -> tuple[dict[str, _Value], list[_Tensor], int]:
    """Keys, tensors, and where the tensors' data begins."""
    cursor = _Cursor(view=view[: min(len(view), size, HEADER_MAX)], at=4)
    version = cursor.number(_U32)
    if version not in {2, 3}:
        raise InvalidInput(f"GGUF version {version} is not read; known: 2, 3")
    tensors = cursor.count(TENSORS_MAX, each=24, what="tensors")
    keys = cursor.count(KEYS_MAX, each=13, what="keys")
    values = _metadata(cursor, keys)
    alignment = _alignment(values)
    placed = _tensors(cursor, tensors, alignment=alignment)
    base = -(-cursor.at // alignment) * alignment
    _check_places(placed, room=size - base)
    return values, placed, base


@dataclass(slots=True, kw_only=True)
class _Cursor:
    """A place in the header that only moves on, and never past the end."""

    view: memoryview
    at: int
    names: set[str] = field(default_factory=set[str])

    def take(self, count: int) -> int:
        """Step over ``count`` bytes; returns where they begin."""
        start = self.at
        if count > len(self.view) - start:
            raise Damaged(
                f"the GGUF header is truncated: {count} bytes wanted at {start},"
                f" {len(self.view) - start} there (at most {HEADER_MAX} are read)"
            )
        self.at = start + count
        return start

    def number(self, form: struct.Struct) -> int:
        """Read a whole number."""
        return cast("int", form.unpack_from(self.view, self.take(form.size))[0])

    def count(self, limit: int, *, each: int, what: str) -> int:
        """Read a count whose items take at least ``each`` bytes."""
        value = self.number(_U64)
        if value > limit:
            raise TooLarge(f"the GGUF header declares {value} {what}; at most {limit} are read")
        if value * each > len(self.view) - self.at:
            raise Damaged(f"the GGUF header declares {value} {what}, more than it has room for")
        return value

    def span(self) -> tuple[int, int]:
        """Read a string's length and step over it; returns where it begins and ends."""
        length = self.number(_U64)
        if length > STRING_MAX:
            raise TooLarge(f"a GGUF string has {length} bytes; at most {STRING_MAX} are read")
        start = self.take(length)
        return start, start + length

    def text(self) -> str:
        """Read a string."""
        start, end = self.span()
        try:
            return str(self.view[start:end], "utf-8")
        except UnicodeDecodeError as error:
            raise Damaged(f"a GGUF string at {start} is not UTF-8") from error

    def name(self) -> str:
        """Read a string that must not have come before."""
        name = self.text()
        if name in self.names:
            raise Damaged(f"the GGUF name {name[:64]!r} comes twice")
        self.names.add(name)
        return name

    def value(self, kind: int) -> _Value:
        """Read a value; arrays that are not short lists of numbers come back as None."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array(depth=1)
        form = _SCALARS.get(kind)
        if form is None:
            raise Damaged(f"GGUF has no value type {kind}")
        return cast("float", form.unpack_from(self.view, self.take(form.size))[0])

    def array(self, *, depth: int) -> list[float] | None:
        """Walk over an array; returns its numbers where they are few."""
        if depth > NESTING_MAX:
            raise TooLarge(f"a GGUF array is nested deeper than {NESTING_MAX}")
        kind = self.number(_U32)
        form = _SCALARS.get(kind)
        if form is not None:
            count = self.count(ARRAY_MAX, each=form.size, what="array items")
            start = self.take(count * form.size)
            if count > NUMBERS_MAX:
                return None
            return [item[0] for item in form.iter_unpack(self.view[start : self.at])]
        if kind == _STRING:
            for _ in range(self.count(ARRAY_MAX, each=8, what="array items")):
                self.span()
        elif kind == _ARRAY:
            for _ in range(self.count(ARRAY_MAX, each=12, what="array items")):
                self.array(depth=depth + 1)
        else:
            raise Damaged(f"GGUF has no value type {kind}")
        return None


def _metadata(cursor: _Cursor, keys: int) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for _ in range(keys):
        name = cursor.name()
        value = cursor.value(cursor.number(_U32))
        if name.startswith(_TEMPLATE) and isinstance(value, str):
            length = len(value.encode())
            if length > TEMPLATE_MAX:
                raise TooLarge(
                    f"the chat template {name!r} has {length} bytes; at most {TEMPLATE_MAX}"
                    " are accepted"
                )
        values[name] = value[:TEXT_MAX] if isinstance(value, str) else value
    return values


def _alignment(values: Mapping[str, _Value]) -> int:
    alignment = _whole(values, "general.alignment", default=32)
    if not 0 < alignment <= ALIGNMENT_MAX or alignment & (alignment - 1):
        raise Damaged(
            f"the GGUF alignment is {alignment}; it must be a power of two up to {ALIGNMENT_MAX}"
        )
    return alignment


def _tensors(cursor: _Cursor, count: int, *, alignment: int) -> list[_Tensor]:
    cursor.names = set()
    return [_tensor(cursor, alignment) for _ in range(count)]


def _tensor(cursor: _Cursor, alignment: int) -> _Tensor:
    name = cursor.name()
    dimensions = cursor.number(_U32)
    if dimensions > DIMENSIONS_MAX:
        raise Damaged(f"tensor {name[:64]!r} has {dimensions} dimensions; at most 4 are allowed")
    shape = [cursor.number(_U64) for _ in range(dimensions)]
    elements = math.prod(shape)
    kind = cursor.number(_U32)
    offset = cursor.number(_U64)
    block = BLOCKS.get(kind)
    if block is None:
        raise InvalidInput(f"tensor {name[:64]!r} has type {kind}, which is not known here")
    if not 0 < elements <= ELEMENTS_MAX:
        raise Damaged(f"tensor {name[:64]!r} has the impossible shape {shape}")
    if (shape[0] if shape else 1) % block.elements:
        raise Damaged(f"tensor {name[:64]!r} of shape {shape} is not whole blocks of {block.name}")
    if offset % alignment:
        raise Damaged(f"tensor {name[:64]!r} begins at {offset}, not a multiple of {alignment}")
    end = offset + elements // block.elements * block.size
    return _Tensor(offset, end, elements, kind=block.name, name=name, block=block.size)


def _check_places(tensors: list[_Tensor], *, room: int) -> None:
    last = 0
    for tensor in sorted(tensors):
        if tensor.start < last:
            raise Damaged(f"two tensors overlap at {tensor.start}")
        if tensor.end > room:
            raise Damaged(
                f"a tensor ends at {tensor.end}, beyond the {max(room, 0)} bytes of data in the"
                " file: it is truncated or damaged"
            )
        last = tensor.end


def _whole(values: Mapping[str, _Value], name: str, *, default: int = 0) -> int:
    value = values.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        raise Damaged(f"the GGUF key {name!r} is not a whole number in range")
    return value


def _cache(values: Mapping[str, _Value], architecture: str, layers: int) -> int:
    """Return the bytes of one token's keys and values, at 16 bits, over all layers."""
    heads = values.get(f"{architecture}.attention.head_count")
    shared = values.get(f"{architecture}.attention.head_count_kv", heads)
    width = _whole(values, f"{architecture}.embedding_length")
    most = max(heads, default=0) if isinstance(heads, list) else heads
    even = width // int(most) if isinstance(most, int) and most > 0 else 0
    key = _whole(values, f"{architecture}.attention.key_length", default=even)
    value = _whole(values, f"{architecture}.attention.value_length", default=even)
    if isinstance(shared, list):
        total = sum(int(item) for item in shared if math.isfinite(item))
    else:
        total = int(shared) * layers if isinstance(shared, int) else 0
    return max(0, 2 * total * (key + value))


def _facts(values: Mapping[str, _Value], tensors: list[_Tensor]) -> Facts:
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture.isprintable() or not architecture:
        raise Damaged("the GGUF key 'general.architecture' is missing or no name")
    layers = _whole(values, f"{architecture}.block_count")
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.kind] += tensor.end - tensor.start
    mixture = MIXTURES.get(_whole(values, "general.file_type", default=1024))
    return Facts(
        architecture=architecture,
        parameters=sum(tensor.elements for tensor in tensors),
        context=_whole(values, f"{architecture}.context_length"),
        layers=layers,
        kv_bytes_per_token=Bytes(_cache(values, architecture, layers)),
        quantisation=mixture or (sizes.most_common(1)[0][0] if sizes else "none"),
        has_chat_template=isinstance(values.get(_TEMPLATE), str),
    )
