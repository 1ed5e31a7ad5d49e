"""A delta gives exactly the child, and whatever else it is made of, never more than it may."""

import hashlib
import struct
from collections.abc import Mapping

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged, InvalidInput
from littoral.trust.delta import MAGIC, PIECE, Range, apply, compare, make, read_head

F32, F16, Q8_0, Q4_0 = 0, 1, 8, 2
SIZES: Mapping[int, tuple[int, int]] = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34), Q4_0: (32, 18)}
HEAD = struct.Struct("<8s32s32sQI")
RANGE = struct.Struct("<QQIB")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(tensors: Mapping[str, tuple[int, bytes]], *, note: str = "") -> bytes:
    """A GGUF file of tensors with one dimension: type and bytes by name."""
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    keys.append(text("note") + struct.pack("<I", 8) + text(note))
    head, data = b"", b""
    for name, (kind, raw) in tensors.items():
        elements, size = SIZES[kind]
        data += bytes(-len(data) % 32)
        count = len(raw) // size * elements
        head += text(name) + struct.pack("<IQIQ", 1, count, kind, len(data))
        data += raw
    front = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + head
    return front + bytes(-len(front) % 32) + data


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def delta(parent: bytes, child: bytes) -> bytes:
    pieces = make(
        memoryview(parent), memoryview(child), digests=(digest(parent), digest(child)), level=3
    )
    return b"".join(pieces)


def applied(packed: bytes, parent: bytes, *, most: int = 1 << 30, step: int = 1000) -> bytes:
    head, at = read_head(memoryview(packed), parent_size=len(parent), most=most)
    pieces = (packed[begin : begin + step] for begin in range(at, len(packed), step))
    return b"".join(apply(head, memoryview(parent), pieces))


def blocks(kind: int):
    size = SIZES[kind][1]
    return st.integers(1, 40).flatmap(lambda n: st.binary(min_size=n * size, max_size=n * size))


TENSOR = st.sampled_from(sorted(SIZES)).flatmap(lambda kind: st.tuples(st.just(kind), blocks(kind)))
TENSORS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), TENSOR, min_size=1)


@given(parent=TENSORS, child=TENSORS, note=st.text("xy", max_size=40))
def test_whatever_the_two_models_are_the_delta_gives_the_child(parent, child, note):
    old, new = gguf(parent), gguf(child, note=note)
    packed = delta(old, new)
    assert applied(packed, old) == new
    head, _ = read_head(memoryview(packed), parent_size=len(old), most=len(new))
    assert (head.parent, head.result, head.size) == (digest(old), digest(new), len(new))


@given(raw=blocks(Q8_0), flips=st.lists(st.integers(0, 1 << 20), max_size=5))
def test_a_tensor_that_changed_a_little_is_xored_and_an_equal_one_copied(raw, flips):
    changed = bytearray(raw)
    for at in flips:
        changed[at % len(raw)] ^= 1
    old = gguf({"same": (F16, b"ab" * 50), "w": (Q8_0, raw)})
    new = gguf({"same": (F16, b"ab" * 50), "w": (Q8_0, bytes(changed))})
    hows = [each.how for each in compare(memoryview(old), memoryview(new))]
    assert "copy" in hows
    assert ("xor" in hows) is (bytes(changed) != raw)
    assert applied(delta(old, new), old) == new


def test_tensors_larger_than_a_piece_are_whole_again():
    raw = bytes(range(256)) * 34 * 200
    changed = bytearray(raw)
    changed[PIECE + 7] ^= 255
    old, new = gguf({"w": (Q8_0, raw)}), gguf({"w": (Q8_0, bytes(changed))})
    packed = delta(old, new)
    assert applied(packed, old, step=1 << 16) == new
    assert len(packed) < len(new) // 100


def test_a_small_change_of_every_weight_costs_a_fraction():
    raw = hashlib.shake_256(b"w").digest(34 * 4000)
    changed = bytes(value ^ (at % 17 == 0) for at, value in enumerate(raw))
    old, new = gguf({"w": (Q8_0, raw)}), gguf({"w": (Q8_0, changed)})
    assert len(delta(old, new)) < len(new) // 3


def test_what_is_no_gguf_has_no_delta():
    with pytest.raises(InvalidInput, match="not a GGUF"):
        compare(memoryview(b"x" * 100), memoryview(gguf({"w": (F32, bytes(4))})))


OLD = gguf({"w": (Q8_0, bytes(340))})
NEW = gguf({"w": (Q8_0, b"\x01" * 340)})


def made(*ranges: tuple[int, int, int, int], body: bytes = b"", size: int | None = None) -> bytes:
    total = sum(each[1] for each in ranges) if size is None else size
    head = HEAD.pack(MAGIC, digest(OLD), digest(NEW), total, len(ranges))
    return head + b"".join(RANGE.pack(*each) for each in ranges) + zstd.compress(body)


HOSTILE = {
    "too short": b"LITDELT1",
    "another magic": b"x" + made((0, 1, 1, 0))[1:],
    "more ranges than bytes": HEAD.pack(MAGIC, bytes(32), bytes(32), 0, 1000),
    "ranges without end": HEAD.pack(MAGIC, bytes(32), bytes(32), 0, 0xFFFFFFFF),
    "more than is allowed": made((0, 1 << 40, 1, 2)),
    "a sum that is not the size": made((0, 5, 1, 2), size=6),
    "a copy outside the parent": made((len(OLD), 1, 1, 0)),
    "an xor far outside the parent": made(((1 << 64) - 1, 1, 1, 1)),
    "no stride": made((0, 1, 0, 1)),
    "a stride beyond sense": made((0, 1, 5000, 1)),
    "another kind": made((0, 1, 1, 3)),
    "no bytes for a range": made((0, 5, 1, 2)),
    "bytes behind the ranges": made((0, 5, 1, 2), body=b"123456"),
    "something behind the frame": made((0, 5, 1, 2), body=b"12345") + b"more",
    "a second frame": made((0, 5, 1, 2), body=b"12345") + zstd.compress(b"x"),
    "a cut frame": made((0, 500, 1, 2), body=hashlib.shake_256(b"").digest(500))[:-20],
    "no frame": made((0, 5, 1, 2))[:-9] + b"nonsense-" * 9,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_delta_is_refused(name):
    with pytest.raises(Damaged):
        applied(HOSTILE[name], OLD, most=1 << 20, step=16)


def test_a_bomb_is_not_unpacked():
    bomb = made((0, 10, 1, 2), body=bytes(1 << 26))
    assert len(bomb) < 10_000
    with pytest.raises(Damaged, match="more bytes than its ranges"):
        applied(bomb, OLD, most=1 << 20)


def test_a_window_larger_than_ours_is_refused():
    options = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    body = packer.compress(hashlib.shake_256(b"").digest(1 << 18)) + packer.flush()
    head = made((0, 1 << 18, 1, 2))
    frame = head[: HEAD.size + RANGE.size] + body
    with pytest.raises(Damaged, match="does not decompress"):
        applied(frame, OLD)


def test_the_end_of_a_frame_may_come_after_its_bytes():
    packed = made((0, 340, 1, 2), body=hashlib.shake_256(b"").digest(340))
    checksum = {zstd.CompressionParameter.checksum_flag: 1}
    frame = zstd.compress(bytes(340), options=checksum)
    head, _ = read_head(memoryview(packed), parent_size=len(OLD), most=1 << 20)
    pieces = [frame[:-2], frame[-2:-1], frame[-1:]]
    assert b"".join(apply(head, memoryview(OLD), pieces)) == bytes(340)


@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1))
def test_a_delta_that_was_changed_gives_the_child_or_is_found_out(flips):
    packed = bytearray(delta(OLD, NEW))
    for at, value in flips:
        packed[at % len(packed)] = value
    try:
        result = applied(bytes(packed), OLD, most=2 * len(NEW))
    except Damaged:
        return
    assert len(result) <= 2 * len(NEW)


def test_ranges_of_a_delta_can_be_looked_at():
    packed = made((3, 5, 34, 1), body=bytes(5))
    head, _ = read_head(memoryview(packed), parent_size=100, most=100)
    assert head.ranges == (Range(how="xor", begin=3, length=5, stride=34),)
