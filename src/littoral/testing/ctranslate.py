"""A tiny model in CTranslate2's format: it has the shape of one, and can answer nothing."""

import struct
from collections.abc import Sequence

FLOAT32, INT8 = 0, 1
WIDTHS = {FLOAT32: 4, INT8: 1}
POSITIONS, WIDTH = 64, 4


def model(*, spec: str = "WhisperSpec", version: int = 6, tail: bytes = b"") -> bytes:
    """The file's bytes: two variables and an alias.

    Args:
        spec: What kind of model it says it is.
        version: Of the format.
        tail: Bytes after its end.
    """
    variables = [
        variable("decoder/position_encodings/encodings", [POSITIONS, WIDTH], FLOAT32),
        variable("decoder/layer_0/ffn/linear_0/weight", [WIDTH, WIDTH], INT8),
    ]
    head = struct.pack("<I", version) + text(spec) + struct.pack("<II", 3, len(variables))
    aliases = struct.pack("<I", 1) + text("same") + text("decoder/layer_0/ffn/linear_0/weight")
    return head + b"".join(variables) + aliases + tail


def variable(name: str, shape: Sequence[int], kind: int, *, size: int | None = None) -> bytes:
    """One variable of zeros.

    Args:
        name: Its name.
        shape: Its dimensions.
        kind: Its type's number.
        size: How many bytes it is said to have, where that is not the truth.
    """
    count = WIDTHS.get(kind, 1)
    for dimension in shape:
        count *= dimension
    dimensions = struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<BI", kind, size or count) + bytes(count)


def text(value: str) -> bytes:
    """A string: its length with the zero at its end, its bytes, the zero."""
    data = value.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
