"""Deltas: a model as the difference to its parent, tensor by tensor.

``LITDELT1 | SHA-256 of the parent | SHA-256 of the result | u64 bytes of the result | u32 ranges |
ranges | one zstd frame``. A range is ``u64 where in the parent | u64 bytes | u32 stride | u8 how``:
copied from the parent, XORed with it, or new. The frame holds the bytes of XORed and new ranges in
order, piece by piece. A piece of an XORed range is sorted by the place of each byte in its block:
the scales of all blocks stand together, then the quants. Nothing here is trusted: every number is
checked before it is used, and no step takes more memory than a piece.
"""

import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from littoral.domain.errors import Damaged
from littoral.trust.artefact import Place, places_of

if sys.version_info >= (3, 14):
    from compression import zstd  # pyright: ignore[reportUnreachable]  types are of 3.11
else:
    from backports import zstd

How: TypeAlias = Literal["copy", "xor", "new"]
MAGIC: Final = b"LITDELT1"
PIECE: Final = 1 << 20
STRIDE_MOST: Final = 4096
RANGES_MOST: Final = 3 * 65_536
LEVEL: Final = 12
WINDOW_LOG: Final = 23
_HEAD: Final = struct.Struct("<8s32s32sQI")
_RANGE: Final = struct.Struct("<QQIB")
_HOWS: Final[tuple[How, ...]] = ("copy", "xor", "new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Some bytes of the result, in order. ``begin`` is where they are in the parent."""

    how: How
    begin: int
    length: int
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHead:
    """What a delta says of itself: digests as 32 bytes, and the ranges of its result."""

    parent: bytes
    result: bytes
    size: int
    ranges: tuple[Range, ...]


def compare(parent: memoryview, child: memoryview) -> tuple[Range, ...]:
    """Pair the tensors of two GGUF files by name and type, and say how the child is made.

    Equal tensors are copied, other pairs XORed; what has no pair, and all between the tensors, is
    new.

    Raises:
        InvalidInput: One is not a GGUF file.
        Damaged: One contradicts itself.

    Checked by: tests/unit/trust/test_delta.py.
    """
    known = {(place.name, place.kind, place.length): place for place in places_of(parent)}
    ranges: list[Range] = []
    at = 0
    for place in sorted(places_of(child), key=lambda each: each.begin):
        ranges.extend(_new(at, place.begin))
        pair = known.get((place.name, place.kind, place.length))
        ranges.append(_paired(place, pair, parent, child=child))
        at = place.begin + place.length
    ranges.extend(_new(at, len(child)))
    return tuple(ranges)


def make(
    parent: memoryview,
    child: memoryview,
    *,
    digests: tuple[bytes, bytes],
    level: int = LEVEL,
) -> Iterator[bytes]:
    """Make the delta from a parent to a child, piece by piece.

    Args:
        parent: All of the parent's file.
        child: All of the child's.
        digests: The SHA-256 of both.
        level: Of the compression.

    Checked by: tests/unit/trust/test_delta.py.
    """
    ranges = compare(parent, child)
    yield _HEAD.pack(MAGIC, *digests, len(child), len(ranges))
    yield b"".join(
        _RANGE.pack(each.begin, each.length, each.stride, _HOWS.index(each.how)) for each in ranges
    )
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.window_log: WINDOW_LOG,
    }
    packer = zstd.ZstdCompressor(options=options)
    at = 0
    for each in ranges:
        for begin, length in _pieces(each) if each.how != "copy" else ():
            piece = bytes(child[at + begin : at + begin + length])
            if each.how == "xor":
                old = parent[each.begin + begin : each.begin + begin + length]
                piece = _sorted(_xor(piece, bytes(old)), each.stride)
            if packed := packer.compress(piece):
                yield packed
        at += each.length
    yield packer.flush()


def read_head(data: memoryview, *, parent_size: int, most: int) -> tuple[DeltaHead, int]:
    """Read what a delta says of itself, and where its frame begins.

    Args:
        data: The delta from its first byte; its head at least.
        parent_size: Bytes of the parent, in which every range must lie.
        most: Bytes that the result may have.

    Raises:
        Damaged: It is no delta, or contradicts itself or these bounds.

    Checked by: tests/unit/trust/test_delta.py.
    """
    if len(data) < _HEAD.size:
        raise Damaged("this is no delta: it is too short")
    magic, parent, result, size, count = cast(
        "tuple[bytes, bytes, bytes, int, int]", _HEAD.unpack(data[: _HEAD.size])
    )
    end = _HEAD.size + count * _RANGE.size
    if magic != MAGIC or count > RANGES_MOST or len(data) < end:
        raise Damaged("this is no delta, or it is cut")
    if size > most:
        raise Damaged(f"the delta makes {size} bytes; {most} are allowed")
    ranges = tuple(
        _range(cast("tuple[int, int, int, int]", fields), parent_size)
        for fields in _RANGE.iter_unpack(data[_HEAD.size : end])
    )
    if sum(each.length for each in ranges) != size:
        raise Damaged(f"the ranges of the delta are not its {size} bytes")
    return DeltaHead(parent=parent, result=result, size=size, ranges=ranges), end


def apply(head: DeltaHead, parent: memoryview, packed: Iterable[bytes]) -> Iterator[bytes]:
    """Make the result, piece by piece; whoever takes it compares its digest.

    Args:
        head: From ``read_head``, with this parent's size.
        parent: All of the parent's file.
        packed: The delta from the end of its head on, in pieces.

    Raises:
        Damaged: The frame is damaged, or has more or fewer bytes than the ranges.

    Checked by: tests/unit/trust/test_delta.py.
    """
    stream = _Stream(packed)
    for each in head.ranges:
        for begin, length in _pieces(each):
            at = each.begin + begin
            if each.how == "copy":
                yield bytes(parent[at : at + length])
                continue
            piece = stream.take(length)
            if each.how == "xor":
                piece = _xor(_unsorted(piece, each.stride), bytes(parent[at : at + length]))
            yield piece
    stream.end()


class _Stream:
    """Decompresses as much as is asked for, and no more."""

    def __init__(self, packed: Iterable[bytes]) -> None:
        self._packed = iter(packed)
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
        self._unpacker = zstd.ZstdDecompressor(options=options)

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes."""
        taken = bytearray()
        while len(taken) < length:
            taken += self._some(length - len(taken))
        return bytes(taken)

    def end(self) -> None:
        """Nothing may be left."""
        while not self._unpacker.eof:
            if self._some(1):
                raise Damaged("the delta has more bytes than its ranges")
        if self._unpacker.unused_data or next(self._packed, b""):
            raise Damaged("something stands behind the delta")

    def _some(self, most: int) -> bytes:
        unpacker = self._unpacker
        try:
            data = next(self._packed) if unpacker.needs_input and not unpacker.eof else b""
            return unpacker.decompress(data, max_length=most)
        except StopIteration:
            raise Damaged("the delta is cut") from None
        except (zstd.ZstdError, EOFError) as error:
            raise Damaged(f"the delta does not decompress: {error}") from error


def _paired(place: Place, pair: Place | None, parent: memoryview, *, child: memoryview) -> Range:
    if pair is None:
        return Range(how="new", begin=0, length=place.length)
    same = _equal(
        parent[pair.begin : pair.begin + pair.length],
        child[place.begin : place.begin + place.length],
    )
    return Range(
        how="copy" if same else "xor", begin=pair.begin, length=place.length, stride=place.block
    )


def _equal(one: memoryview, other: memoryview) -> bool:
    ends = range(0, len(one), PIECE)
    return all(bytes(one[at : at + PIECE]) == bytes(other[at : at + PIECE]) for at in ends)


def _new(begin: int, end: int) -> Sequence[Range]:
    return [Range(how="new", begin=0, length=end - begin)] if end > begin else []


def _range(fields: tuple[int, int, int, int], parent_size: int) -> Range:
    begin, length, stride, how = fields
    if how >= len(_HOWS) or not 1 <= stride <= STRIDE_MOST:
        raise Damaged("the delta has a range of a kind that is not known")
    if _HOWS[how] != "new" and begin + length > parent_size:
        raise Damaged("the delta has a range outside its parent")
    return Range(how=_HOWS[how], begin=begin, length=length, stride=stride)


def _pieces(each: Range) -> Iterator[tuple[int, int]]:
    """Begin and length of the pieces of a range: whole blocks, but for its end."""
    step = PIECE // each.stride * each.stride
    return ((at, min(step, each.length - at)) for at in range(0, each.length, step))


def _xor(one: bytes, other: bytes) -> bytes:
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(len(one), "little")


def _sorted(piece: bytes, stride: int) -> bytes:
    """Bytes by their place in a block: all first ones, all second ones, and so on."""
    return piece if stride == 1 else b"".join(piece[at::stride] for at in range(stride))


def _unsorted(piece: bytes, stride: int) -> bytes:
    made = bytearray(len(piece))
    at = 0
    for place in range(stride):
        count = len(range(place, len(piece), stride))
        made[place::stride] = piece[at : at + count]
        at += count
    return bytes(made)
