"""The caps of the GGUF reader, each at its last allowed value and one beyond."""

import struct

import pytest

from littoral.domain.errors import Damaged, TooLarge
from littoral.trust import artefact
from littoral.trust.artefact import read_gguf

ARCHITECTURE = struct.pack("<Q20sIQ1s", 20, b"general.architecture", 8, 1, b"x")
TRUNCATED = "truncated|more than it has room for"


def read(*, keys: bytes = b"", count: int = 1, tensor: bytes = b"", data: int = 64) -> object:
    head = struct.pack("<4sIQQ", b"GGUF", 3, int(bool(tensor)), count) + ARCHITECTURE
    file = head + keys + tensor
    file += bytes(-len(file) % 32 + data)
    return read_gguf(memoryview(file), size=len(file))


def value(kind: str, *numbers: int) -> bytes:
    return struct.pack("<Q1s" + kind, 1, b"k", *numbers)


def tensor(*shape: int, dimensions: int | None = None) -> bytes:
    declared = len(shape) if dimensions is None else dimensions
    return struct.pack(f"<Q1sI{len(shape)}QIQ", 1, b"t", declared, *shape, 0, 0)


@pytest.mark.parametrize(
    ("name", "largest"),
    [("IQ", 1 << 20), ("array of numbers", 1 << 21), ("array of strings", 1 << 21)],
)
def test_strings_and_arrays_have_caps(name, largest):
    forms = {"IQ": (8,), "array of numbers": (9, 0), "array of strings": (9, 8)}
    kinds = forms[name]
    form = "I" * len(kinds) + "Q"
    with pytest.raises(Damaged, match=TRUNCATED):
        read(keys=value(form, *kinds, largest), count=2)
    with pytest.raises(TooLarge, match=f"{largest + 1} "):
        read(keys=value(form, *kinds, largest + 1), count=2)


def test_keys_and_tensors_have_caps():
    with pytest.raises(Damaged, match="4096 keys, more than"):
        read(count=4096)
    with pytest.raises(TooLarge, match="4097 keys"):
        read(count=4097)
    for count, error in [(65_536, Damaged), (65_537, TooLarge)]:
        with pytest.raises(error, match=f"{count} tensors"):
            read_gguf(memoryview(struct.pack("<4sIQQ", b"GGUF", 3, count, 0)), size=24)


def test_shapes_have_caps():
    assert read(tensor=tensor(2, 2, 2, 2))
    with pytest.raises(Damaged, match="has 5 dimensions"):
        read(tensor=tensor(1, 1, 1, 1, 1))
    with pytest.raises(Damaged, match="has 4294967295 dimensions"):
        read(tensor=tensor(dimensions=0xFFFFFFFF))
    with pytest.raises(Damaged, match="beyond the"):
        read(tensor=tensor(1 << 50))
    with pytest.raises(Damaged, match="impossible shape"):
        read(tensor=tensor((1 << 50) + 1))


def test_an_alignment_may_be_up_to_65536():
    name = struct.pack("<Q17s", 17, b"general.alignment")
    assert read(keys=name + struct.pack("<II", 4, 65_536), count=2, data=1 << 16)
    with pytest.raises(Damaged, match="is 131072"):
        read(keys=name + struct.pack("<II", 4, 131_072), count=2)


def test_a_header_may_have_64_mebibytes():
    assert artefact.HEADER_MAX == 64 * 1024 * 1024
