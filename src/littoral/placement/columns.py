"""Columns: usage records as compressed columns, a fifth of the bytes that rows take.

A body is magic, then columns: length and text of the name, the kind, the size, and a zstd frame
with a checksum. Whole numbers and floats are 8 bytes, little-endian, all first bytes first, then
all second ones; numbers that rise are differences. Texts that repeat are a list and places in it.
A reader leaves out columns that it does not know, and gives those that it misses their defaults.
"""

import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Final, cast

from littoral.domain.errors import Damaged
from littoral.domain.usage import UsageRecord

if sys.version_info >= (3, 14):
    from compression import zstd  # pyright: ignore[reportUnreachable]  types are of 3.11
else:
    from backports import zstd

MAGIC: Final = b"LITCOL1\n"
LEVEL: Final = 9
LARGEST: Final = 64 << 20
"""Most bytes that a column may have when it is unpacked."""
_HEAD: Final = struct.Struct("<BBI")
"""Bytes of the name, kind, bytes of the frame."""
_WHOLE, _RISING, _FLOAT, _FLAG, _NAMED, _TEXT = range(6)
_NAMES: Final = tuple(each.name for each in fields(UsageRecord))
_DEFAULTS: Final[Mapping[str, object]] = {
    each.name: cast("object", each.default)
    for each in fields(UsageRecord)
    if each.default is not MISSING
}
_FLOATS: Final = frozenset(each.name for each in fields(UsageRecord) if each.type is float)
_row = cast("Callable[[UsageRecord], tuple[object, ...]]", attrgetter(*_NAMES))
_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


def pack(records: Sequence[UsageRecord]) -> bytes:
    """Put records into columns, in the order in which they began.

    Checked by: tests/unit/placement/test_columns.py.
    """
    ordered = sorted(records, key=attrgetter("at_us", "request", "attempt"))
    columns = zip(*map(_row, ordered), strict=True)
    pieces = [MAGIC]
    for name, values in zip(_NAMES, columns, strict=False):
        kind, data = _packed(values, is_float=name in _FLOATS)
        frame = zstd.compress(data, options=_OPTIONS)
        pieces += (_HEAD.pack(len(name), kind, len(frame)), name.encode(), frame)
    return b"".join(pieces)


def columns(body: bytes, wanted: Sequence[str] = _NAMES) -> Mapping[str, Sequence[object]]:
    """Return the columns of these names; those that the body does not have are left out.

    Raises:
        Damaged: It is no such body, or not as it was written.

    Checked by: tests/unit/placement/test_columns.py.
    """
    if not body.startswith(MAGIC):
        raise Damaged("a chunk of records does not begin as one")
    try:
        return {
            name: _unpacked(kind, _expanded(frame))
            for name, kind, frame in _frames(body)
            if name in wanted
        }
    except (zstd.ZstdError, EOFError, struct.error, IndexError, ValueError) as error:
        raise Damaged(f"a chunk of records cannot be read: {error}") from error


def records(body: bytes) -> list[UsageRecord]:
    """Return the records of a body, in the order in which they began.

    Raises:
        Damaged: It is no such body, or not as it was written.

    Checked by: tests/unit/placement/test_columns.py.
    """
    found = columns(body)
    lacking = [name for name in _NAMES if name not in found and name not in _DEFAULTS]
    if lacking:
        raise Damaged(f"a chunk of records lacks {', '.join(lacking)}")
    names = tuple(found)
    make = cast("Callable[..., UsageRecord]", UsageRecord)
    try:
        rows = zip(*found.values(), strict=True)
        return [make(**dict(zip(names, row, strict=True))) for row in rows]
    except ValueError as error:
        raise Damaged("a chunk of records has columns of several lengths") from error


def _frames(body: bytes) -> Sequence[tuple[str, int, bytes]]:
    found: list[tuple[str, int, bytes]] = []
    at = len(MAGIC)
    while at < len(body):
        length, kind, size = cast("tuple[int, int, int]", _HEAD.unpack_from(body, at))
        at += _HEAD.size
        end = at + length + size
        found.append((body[at : at + length].decode(), kind, body[at + length : end]))
        at = end
    return found


def _expanded(frame: bytes) -> bytes:
    stream = zstd.ZstdDecompressor()
    data = stream.decompress(frame, LARGEST)
    if not stream.eof:
        raise EOFError("a column is cut, or too long")
    return data


def _packed(values: Sequence[object], *, is_float: bool) -> tuple[int, bytes]:
    """The kind of a column and its bytes before they are compressed."""
    if is_float:
        floats = cast("Sequence[float]", values)
        return _FLOAT, _shuffled(struct.pack(f"<{len(floats)}d", *floats))
    match values[0]:
        case bool():
            return _FLAG, bytes(cast("Sequence[bool]", values))
        case int():
            return _numbers(cast("Sequence[int]", values))
        case _:
            return _texts(cast("Sequence[str]", values))


def _numbers(values: Sequence[int]) -> tuple[int, bytes]:
    rising = all(one <= other for one, other in pairwise(values))
    stored = [values[0], *(b - a for a, b in pairwise(values))] if rising else values
    return _RISING if rising else _WHOLE, _shuffled(struct.pack(f"<{len(stored)}q", *stored))


def _texts(values: Sequence[str]) -> tuple[int, bytes]:
    names = list(dict.fromkeys(values))
    if 2 * len(names) > len(values) > 1:
        return _TEXT, _joined(values)
    places = {name: at for at, name in enumerate(names)}
    codes = struct.pack(f"<{len(values)}q", *(places[value] for value in values))
    return _NAMED, _joined(names) + _shuffled(codes)


def _joined(texts: Sequence[str]) -> bytes:
    """How many texts, their lengths in bytes, then the texts."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = struct.pack(f"<{len(encoded)}q", *map(len, encoded))
    return b"".join((struct.pack("<q", len(encoded)), _shuffled(lengths), *encoded))


def _unpacked(kind: int, data: bytes) -> Sequence[object]:
    if kind >= len(_READERS):
        raise ValueError(f"a column is of the kind {kind}, which this version does not know")
    return _READERS[kind](data)


def _rising(data: bytes) -> Sequence[int]:
    return list(accumulate(_whole(data)))


def _floats(data: bytes) -> Sequence[float]:
    return cast("tuple[float, ...]", struct.unpack(f"<{len(data) // 8}d", _straight(data)))


def _flags(data: bytes) -> Sequence[bool]:
    return list(map(bool, data))


def _named(data: bytes) -> Sequence[str]:
    names, rest = _parted(data)
    return [names[at] for at in _whole(rest)]


def _text(data: bytes) -> Sequence[str]:
    return _parted(data)[0]


def _parted(data: bytes) -> tuple[list[str], bytes]:
    """Texts that were joined, and what follows them."""
    count = struct.unpack_from("<q", data)[0]
    at = 8 + 8 * count
    texts: list[str] = []
    for length in _whole(data[8:at]):
        texts.append(data[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    return texts, data[at:]


def _whole(data: bytes) -> Sequence[int]:
    return cast("tuple[int, ...]", struct.unpack(f"<{len(data) // 8}q", _straight(data)))


def _shuffled(data: bytes) -> bytes:
    return b"".join(data[at::8] for at in range(8))


def _straight(data: bytes) -> bytes:
    count = len(data) // 8
    straight = bytearray(len(data))
    for at in range(8):
        straight[at::8] = data[at * count : (at + 1) * count]
    return bytes(straight)


_READERS: Final[Sequence[Callable[[bytes], Sequence[object]]]] = (
    *(_whole, _rising, _floats, _flags, _named, _text),
)
"""By kind."""
