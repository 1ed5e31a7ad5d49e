"""CTranslate2 files are walked before anything loads them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged, InvalidInput, LittoralError, TooLarge
from littoral.testing import ctranslate
from littoral.testing.ctranslate import FLOAT32, INT8, text, variable
from littoral.trust.ctranslate import read_ctranslate2

MODEL = ctranslate.model()
HEAD = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<I", 3)


def read(data: bytes):
    return read_ctranslate2(memoryview(data))


def holding(*variables: bytes, count: int | None = None, aliases: bytes = bytes(4)) -> bytes:
    number = len(variables) if count is None else count
    return HEAD + struct.pack("<I", number) + b"".join(variables) + aliases


def test_a_sound_file_says_what_it_is():
    facts = read(MODEL)
    assert facts.format == "ctranslate2"
    assert facts.architecture == "whisper"
    assert facts.context == ctranslate.POSITIONS
    assert facts.layers == 1
    assert facts.parameters == (ctranslate.POSITIONS + ctranslate.WIDTH) * ctranslate.WIDTH
    assert facts.quantisation == "F32"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ctranslate.model(version=5), "format 5"),
        (ctranslate.model(spec="OtherSpec"), "'OtherSpec' is not run here; known: WhisperSpec"),
        (holding(variable("a", [1], 99)), "type 99"),
    ],
)
def test_what_is_not_read_is_refused(data, why):
    with pytest.raises(InvalidInput, match=why):
        read(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (MODEL[:-3], "truncated"),
        (ctranslate.model(tail=b"more"), "4 bytes after its end"),
        (holding(variable("a", [2], FLOAT32, size=7)), "has 7 bytes"),
        (holding(variable("a", [1], INT8), variable("a", [1], INT8)), "comes twice"),
        (holding(variable("a", [1] * 9, INT8)), "9 dimensions"),
        (holding(count=60_000), "more than there is room"),
        (HEAD[:4] + struct.pack("<H", 0), "has 0 bytes"),
        (HEAD[:4] + struct.pack("<H", 3) + b"abc", "has no end"),
        (HEAD[:4] + struct.pack("<H", 2) + b"\xff\0", "not UTF-8"),
        (holding(aliases=struct.pack("<I", 1) + text("a") + text("gone")), "alias of nothing"),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(data, why):
    with pytest.raises(Damaged, match=why):
        read(data)


def test_counts_are_bounded():
    with pytest.raises(TooLarge, match="at most 65536"):
        read(holding(count=1 << 30))


@given(st.integers(0, len(MODEL) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_no_change_of_bytes_makes_it_fail_otherwise(place, put, cut):
    data = MODEL[:place] + put + MODEL[place + cut :]
    try:
        read(data)
    except LittoralError:
        return
