"""A tiny sentence encoder in ONNX and its tokenizer, made on the spot: noise, but always the same.

The file is written as protobuf wire format, so that it needs no library but numpy; it runs on the
real engine.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from littoral.testing.symbols import SYMBOLS, byte_symbols

WIDTH, CONTEXT = 16, 64
CLS, SEP = SYMBOLS, SYMBOLS + 1
FLOAT, INT64 = 1, 7
SHA256: Final = "8b6a1bfb86ffe94af53afb7f3bdf30de3d1c8852fe2676882dcca15224ce7339"
"""Made with numpy 2.4: a change of it that changes the file is noticed."""


def write(path: str | Path) -> Path:
    """Write an encoder: a vector for each token and place, added, then squashed.

    Returns:
        The file; its digest is ``SHA256``.
    """
    Path(path).write_bytes(model())
    return Path(path)


def write_tokenizer(path: str | Path) -> Path:
    """Write its ``tokenizer.json``: a token for each byte, and one for each end of a text."""
    vocabulary = {symbol: number for number, symbol in enumerate(byte_symbols())}
    vocabulary |= {"[CLS]": CLS, "[SEP]": SEP}
    special = [
        {"id": number, "content": text, "special": True, **dict.fromkeys(_FLAGS, False)}
        for text, number in (("[CLS]", CLS), ("[SEP]", SEP))
    ]
    ends = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    named = {
        text: {"id": text, "ids": [number], "tokens": [text]}
        for text, number in (("[CLS]", CLS), ("[SEP]", SEP))
    }
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content: dict[str, object] = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": level | {"use_regex": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": ends,
            "pair": [*ends, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": named,
        },
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    Path(path).write_text(json.dumps(content), encoding="utf-8")
    return Path(path)


def model(*, domain: str = "", external: bool = False) -> bytes:
    """The file's bytes.

    Args:
        domain: Set that the last operator is said to belong to.
        external: Say that the words' vectors are in another file.
    """
    rng = np.random.default_rng(0)
    words = rng.standard_normal((SYMBOLS + 2, WIDTH)).astype(np.float32)
    places = (rng.standard_normal((CONTEXT, WIDTH)) * 0.1).astype(np.float32)
    graph = b"".join(
        (
            field(1, _node("CumSum", ["attention_mask", "axis"], "place", whole={"exclusive": 1})),
            field(1, _node("Gather", ["position_embeddings", "place"], "of_place")),
            field(1, _node("Gather", ["word_embeddings", "input_ids"], "of_word")),
            field(1, _node("Add", ["of_word", "of_place"], "sum")),
            field(1, _node("Tanh", ["sum"], "last_hidden_state", domain=domain)),
            field(2, b"tiny"),
            field(
                5, _tensor("word_embeddings", words) + (varint_field(14, 1) if external else b"")
            ),
            field(5, _tensor("position_embeddings", places)),
            field(5, _tensor("axis", np.array(1, np.int64))),
            *(
                field(11, _value(name, INT64, ["b", "s"]))
                for name in ("input_ids", "attention_mask")
            ),
            field(12, _value("last_hidden_state", FLOAT, ["b", "s", WIDTH])),
        )
    )
    sets = varint_field(2, 17)
    named = field(1, domain.encode()) + varint_field(2, 1)
    return b"".join(
        (
            varint_field(1, 8),
            field(2, b"littoral"),
            field(7, graph),
            field(8, sets),
            field(8, named) if domain else b"",
        )
    )


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, in protobuf's wire format."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint_field(number: int, value: int) -> bytes:
    """A field of a whole number, in protobuf's wire format."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """A whole number, in protobuf's wire format."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _node(
    kind: str,
    takes: list[str],
    gives: str,
    *,
    domain: str = "",
    whole: Mapping[str, int] = MappingProxyType({}),
) -> bytes:
    data = b"".join(field(1, name.encode()) for name in takes) + field(2, gives.encode())
    data += field(4, kind.encode()) + (field(7, domain.encode()) if domain else b"")
    for name, value in whole.items():
        attribute = field(1, name.encode()) + varint_field(3, value) + varint_field(20, 2)
        data += field(5, attribute)
    return data


def _tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    shape = b"".join(varint_field(1, size) for size in cast("tuple[int, ...]", values.shape))
    kind = FLOAT if values.dtype == np.float32 else INT64
    return shape + varint_field(2, kind) + field(8, name.encode()) + field(9, values.tobytes())


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    sizes = b"".join(
        field(1, varint_field(1, size) if isinstance(size, int) else field(2, size.encode()))
        for size in shape
    )
    tensor = varint_field(1, kind) + field(2, sizes)
    return field(1, name.encode()) + field(2, field(1, tensor))
