"""CTranslate2: what a ``model.bin`` says, walked variable by variable.

No declared count is trusted: every loop is bounded by the bytes that are really there and by the
caps below, and the numbers themselves are stepped over.
"""

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from littoral.domain.errors import Damaged, InvalidInput, TooLarge
from littoral.domain.model import Facts
from littoral.domain.units import Bytes

VERSION: Final = 6
SPECS: Final = frozenset({"WhisperSpec"})
"""Kinds of model that an engine here can run."""
VARIABLES_MAX: Final = 65_536
NAME_MAX: Final = 4096
DIMENSIONS_MAX: Final = 8
ELEMENTS_MAX: Final = 1 << 50

_BYTE, _SHORT, _WORD = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I")
_TYPES: Final[Mapping[int, tuple[str, int]]] = {
    0: ("F32", 4),
    1: ("I8", 1),
    2: ("I16", 2),
    3: ("I32", 4),
    4: ("F16", 2),
    5: ("BF16", 2),
}
_POSITIONS: Final = "decoder/position_encodings/encodings"
_LAYER: Final = "decoder/layer_"


@dataclass(slots=True, kw_only=True)
class _Cursor:
    """A place in the file that only moves on, and never past the end."""

    view: memoryview
    at: int = 0

    def take(self, count: int) -> int:
        """Step over ``count`` bytes; returns where they begin."""
        start = self.at
        if count > len(self.view) - start:
            raise Damaged(
                f"the CTranslate2 file is truncated: {count} bytes wanted at {start},"
                f" {len(self.view) - start} there"
            )
        self.at = start + count
        return start

    def number(self, form: struct.Struct) -> int:
        """Read a whole number."""
        return cast("int", form.unpack_from(self.view, self.take(form.size))[0])

    def text(self) -> str:
        """Read a string: its length with the zero at its end, its bytes, the zero."""
        length = self.number(_SHORT)
        if not 1 <= length <= NAME_MAX:
            raise Damaged(f"a name in the CTranslate2 file has {length} bytes; 1 to {NAME_MAX}")
        start = self.take(length)
        if self.view[self.at - 1]:
            raise Damaged(f"a name in the CTranslate2 file at {start} has no end")
        try:
            return str(self.view[start : self.at - 1], "utf-8")
        except UnicodeDecodeError as error:
            raise Damaged(f"a name in the CTranslate2 file at {start} is not UTF-8") from error

    def count(self, *, each: int, what: str) -> int:
        """Read a count whose items take at least ``each`` bytes."""
        value = self.number(_WORD)
        if value > VARIABLES_MAX:
            raise TooLarge(f"the CTranslate2 file declares {value} {what}; at most {VARIABLES_MAX}")
        if value * each > len(self.view) - self.at:
            raise Damaged(f"the CTranslate2 file declares {value} {what}, more than there is room")
        return value


def is_ctranslate2(view: memoryview) -> bool:
    """Whether a file begins as a CTranslate2 model does: a small version, then a kind's name."""
    if len(view) < 8 or not 0 < _WORD.unpack_from(view)[0] < 64:
        return False
    end = 6 + cast("int", _SHORT.unpack_from(view, 4)[0])
    return 8 < end <= len(view) and bytes(view[end - 5 : end]) == b"Spec\0"


def read_ctranslate2(view: memoryview) -> Facts:
    """Walk a CTranslate2 file and return what it says.

    Args:
        view: The whole file.

    Raises:
        InvalidInput: A version or a kind of model that is not read.
        TooLarge: A count is over its cap.
        Damaged: Truncated, or it contradicts itself.

    Source: the binary format version 6 of CTranslate2's model specifications.
    Checked by: tests/unit/trust/test_ctranslate.py, with hostile files and a fuzzer.
    """
    cursor = _Cursor(view=view)
    version = cursor.number(_WORD)
    if version != VERSION:
        raise InvalidInput(f"CTranslate2 format {version} is not read; known: {VERSION}")
    spec = cursor.text()
    if spec not in SPECS:
        raise InvalidInput(
            f"CTranslate2 model {spec[:64]!r} is not run here; known: {', '.join(sorted(SPECS))}"
        )
    cursor.number(_WORD)
    sizes: Counter[str] = Counter()
    shapes: dict[str, list[int]] = {}
    for _ in range(cursor.count(each=13, what="variables")):
        _variable(cursor, sizes, shapes)
    for _ in range(cursor.count(each=6, what="aliases")):
        cursor.text()
        if cursor.text() not in shapes:
            raise Damaged("the CTranslate2 file has an alias of nothing")
    if cursor.at != len(view):
        raise Damaged(f"the CTranslate2 file has {len(view) - cursor.at} bytes after its end")
    return _facts(spec, sizes, shapes)


def _variable(cursor: _Cursor, sizes: Counter[str], shapes: dict[str, list[int]]) -> None:
    name = cursor.text()
    if name in shapes:
        raise Damaged(f"the CTranslate2 variable {name[:64]!r} comes twice")
    rank = cursor.number(_BYTE)
    if rank > DIMENSIONS_MAX:
        raise Damaged(f"the CTranslate2 variable {name[:64]!r} has {rank} dimensions")
    shape = [cursor.number(_WORD) for _ in range(rank)]
    kind, size = cursor.number(_BYTE), cursor.number(_WORD)
    if kind not in _TYPES:
        raise InvalidInput(f"the CTranslate2 variable {name[:64]!r} has type {kind}, not known")
    label, width = _TYPES[kind]
    if math.prod(shape) > ELEMENTS_MAX or math.prod(shape) * width != size:
        raise Damaged(f"the CTranslate2 variable {name[:64]!r} of shape {shape} has {size} bytes")
    cursor.take(size)
    sizes[label] += size
    shapes[name] = shape


def _facts(spec: str, sizes: Counter[str], shapes: Mapping[str, list[int]]) -> Facts:
    numbers = {name.removeprefix(_LAYER).partition("/")[0] for name in shapes}
    positions = shapes.get(_POSITIONS, [])
    return Facts(
        format="ctranslate2",
        architecture=spec.removesuffix("Spec").lower(),
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        context=positions[0] if len(positions) == 2 else 0,
        layers=sum(number.isdecimal() for number in numbers),
        kv_bytes_per_token=Bytes(0),
        quantisation=sizes.most_common(1)[0][0] if sizes else "none",
        has_chat_template=False,
    )
