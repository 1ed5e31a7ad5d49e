"""ONNX files are walked before anything loads them, and foreign code in them is refused."""

import hashlib
import mmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged, InvalidInput, LittoralError, TooLarge
from littoral.testing import onnx
from littoral.testing.onnx import field, varint, varint_field
from littoral.trust.onnx import DEPTH_MAX, DIMENSIONS_MAX, FIELDS_MAX, NAME_MAX, SIZE_MAX, read_onnx

MODEL = onnx.model()
VERSION = varint_field(1, 8)


def read(data: bytes):
    return read_onnx(memoryview(data))


def graph(*fields: bytes) -> bytes:
    """A model whose graph has one plain operator and these fields."""
    return VERSION + field(7, field(1, field(4, b"Add")) + b"".join(fields))


def tensor(*fields: bytes) -> bytes:
    """A model with one tensor of these fields."""
    return graph(field(5, b"".join(fields)))


def test_the_tiny_encoder_is_what_it_was():
    assert hashlib.sha256(MODEL).hexdigest() == onnx.SHA256


def test_a_sound_file_says_what_it_is():
    facts = read(MODEL)
    assert facts.format == "onnx"
    assert facts.parameters == (onnx.SYMBOLS + 2 + onnx.CONTEXT) * onnx.WIDTH + 1
    assert facts.context == onnx.CONTEXT
    assert facts.quantisation == "F32"
    assert facts.kv_bytes_per_token == 0


def test_numbers_in_other_files_are_refused():
    with pytest.raises(InvalidInput, match="other files"):
        read(onnx.model(external=True))
    with pytest.raises(InvalidInput, match="other files"):
        read(tensor(varint_field(2, 1), field(13, field(1, b"location"))))


def test_custom_operators_are_refused():
    with pytest.raises(InvalidInput, match=r"custom operators 'com\.example'"):
        read(onnx.model(domain="com.example"))
    node = field(1, field(4, b"Wild") + field(7, b"com.example"))
    with pytest.raises(InvalidInput, match="custom operators"):
        read(graph(node))
    with pytest.raises(InvalidInput, match="runs what the model brings"):
        read(graph(field(1, field(4, b"EPContext") + field(7, b"com.microsoft"))))
    inner = field(6, field(1, field(4, b"Wild") + field(7, b"com.example")))
    with pytest.raises(InvalidInput, match="custom operators"):
        read(graph(field(1, field(4, b"If") + field(5, inner))))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (MODEL + field(20, b""), "training"),
        (MODEL + field(25, b""), "functions of its own"),
        (tensor(varint_field(1, 1), varint_field(2, 14), field(9, bytes(8))), "type 14"),
    ],
)
def test_what_is_not_for_inference_is_refused(data, why):
    with pytest.raises(InvalidInput, match=why):
        read(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (VERSION, "no graph"),
        (VERSION + field(7, field(2, b"empty")), "no graph"),
        (MODEL[:-40], "truncated"),
        (VERSION + b"\x3b", "wire type 3"),
        (VERSION + varint(7 << 3 | 2) + b"\xff" * 11, "more than 10 bytes"),
        (VERSION + b"\xff", "truncated within a number"),
        (VERSION + varint(7 << 3 | 5) + b"\0", "truncated"),
        (graph(field(1, varint_field(4, 1))), "a number for an operator"),
        (graph(field(1, field(4, b"\xff"))), "not UTF-8"),
        (tensor(varint_field(1, 3), varint_field(2, 1), field(9, bytes(8))), "has 8 bytes"),
        (tensor(varint_field(1, 1 << 60), varint_field(2, 1)), "impossible shape"),
        (tensor(varint_field(1, (1 << 64) - 1), varint_field(2, 1)), "impossible shape"),
        (tensor(*[varint_field(1, 1)] * (DIMENSIONS_MAX + 1), varint_field(2, 1)), "impossible"),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(data, why):
    with pytest.raises(Damaged, match=why):
        read(data)


def nested(depth: int) -> bytes:
    """Graphs within attributes of operators within graphs."""
    inner = field(1, field(4, b"Add"))
    for _ in range(depth - 1):
        inner = field(1, field(4, b"If") + field(5, field(6, inner)))
    return VERSION + field(7, inner)


def test_graphs_may_be_nested_but_not_for_ever():
    read(nested(DEPTH_MAX))
    with pytest.raises(TooLarge, match="deeper"):
        read(nested(DEPTH_MAX + 1))


def test_names_and_fields_are_bounded():
    with pytest.raises(TooLarge, match=f"at most {NAME_MAX}"):
        read(graph(field(1, field(4, b"a" * (NAME_MAX + 1)))))
    with pytest.raises(TooLarge, match="fields"):
        read(VERSION + b"\x10\x00" * FIELDS_MAX)
    packed = field(1, bytes(FIELDS_MAX))
    with pytest.raises(TooLarge, match="fields"):
        read(tensor(packed, varint_field(2, 1)))


def test_tensors_in_attributes_and_sparse_ones_are_looked_at_too():
    bad = field(13, b"")
    for where in (field(5, bad), field(22, field(1, bad))):
        with pytest.raises(InvalidInput, match="other files"):
            read(graph(field(1, field(4, b"Constant") + field(5, where))))
    with pytest.raises(InvalidInput, match="other files"):
        read(graph(field(15, field(1, bad))))


def test_small_types_and_texts_are_counted_as_they_are_stored():
    assert read(tensor(varint_field(1, 3), varint_field(2, 22), field(9, b"ab"))).parameters == 3
    assert read(tensor(varint_field(2, 8), field(6, b"text"))).quantisation == "none"
    whole = tensor(field(1, b"\x02\x03"), varint_field(2, 3), field(9, bytes(6)))
    assert read(whole).quantisation == "I8"


@given(st.integers(0, len(MODEL) - 1), st.binary(max_size=8), st.integers(0, 8))
@example(1, b"", 0)
def test_no_change_of_bytes_makes_it_fail_otherwise(place, put, cut):
    data = MODEL[:place] + put + MODEL[place + cut :]
    try:
        read(data)
    except LittoralError:
        return


def test_what_does_not_matter_is_stepped_over():
    values = varint_field(1, 2) + varint_field(2, 1) + field(9, bytes(8))
    constant = field(1, field(4, b"Constant") + field(5, varint_field(3, 1) + field(5, values)))
    sparse = field(15, field(1, values) + varint_field(3, 4))
    sets = field(8, field(1, b"ai.onnx") + varint_field(2, 17))
    data = graph(constant, sparse, varint_field(2, 1), field(13, b"")) + sets + field(14, b"")
    fixed = varint(9 << 3 | 1) + bytes(8)
    assert read(data + fixed).parameters == 2


def test_no_file_longer_than_a_protobuf_message_can_be_is_walked():
    with (
        mmap.mmap(-1, SIZE_MAX + 1) as mapped,
        memoryview(mapped) as view,
        pytest.raises(TooLarge, match=f"at most {SIZE_MAX}"),
    ):
        read_onnx(view)
