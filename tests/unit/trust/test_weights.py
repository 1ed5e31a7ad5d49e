"""The format of weights is told by their bytes."""

import pytest

from littoral.domain.errors import InvalidInput
from littoral.testing import ctranslate, gguf, onnx
from littoral.trust.weights import read_weights


def test_each_format_is_known_by_its_bytes(tmp_path):
    found = [
        read_weights(memoryview(data)).format
        for data in (
            gguf.write(tmp_path / "a").read_bytes(),
            onnx.model(),
            ctranslate.model(),
        )
    ]
    assert found == ["gguf", "onnx", "ctranslate2"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no weights"),
        (b"hello", "no weights"),
        (bytes(600), "no weights"),
        (b"PK\x03\x04" + bytes(600), "zip"),
        (b"\x80\x04\x95" + bytes(600), "pickle"),
        (b"\x08\x40" + bytes(600), "no weights"),
        (b"\x06\0\0\0\xff\xff" + bytes(100), "no weights"),
    ],
)
def test_what_is_nothing_known_is_refused(data, why):
    with pytest.raises(InvalidInput, match=why):
        read_weights(memoryview(data))
