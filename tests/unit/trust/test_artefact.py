import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.domain.errors import Damaged, InvalidInput, LittoralError, TooLarge
from littoral.domain.model import Facts
from littoral.domain.units import Bytes
from littoral.trust import artefact
from littoral.trust.artefact import read_gguf
from littoral.trust.quantisation import BLOCKS

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 5, 6, 7, 8, 9, 10


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def u32(name: str, value: int) -> bytes:
    return text(name) + struct.pack("<II", U32, value)


def string(name: str, value: str | bytes) -> bytes:
    return text(name) + struct.pack("<I", STRING) + text(value)


def array(name: str, kind: int, items: list[bytes]) -> bytes:
    return text(name) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def tensor(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    head = text(name) + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)


LLAMA = [
    string("general.architecture", "llama"),
    u32("general.file_type", 2),
    u32("llama.context_length", 2048),
    u32("llama.block_count", 4),
    u32("llama.embedding_length", 64),
    u32("llama.attention.head_count", 8),
    u32("llama.attention.head_count_kv", 2),
    string("tokenizer.chat_template", "{{ messages }}"),
    array("tokenizer.ggml.tokens", STRING, [text("a"), text("b")]),
    array("tokenizer.ggml.scores", F32, [struct.pack("<f", 1.0)] * 2),
    text("general.flag") + struct.pack("<IB", BOOL, 1),
]
TENSORS = [tensor("a", [64, 4], 0, 0), tensor("b", [32, 2], 2, 1024)]


def gguf(
    keys: list[bytes] = LLAMA,
    tensors: list[bytes] = TENSORS,
    *,
    data: int = 1024 + 36,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    declared = counts or (len(tensors), len(keys))
    head = b"GGUF" + struct.pack("<IQQ", version, *declared) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + bytes(data)


def read(file: bytes, *, size: int | None = None) -> Facts:
    return read_gguf(memoryview(file), size=len(file) if size is None else size)


@pytest.mark.parametrize("prefix", [b"", b"GG", b"ggml", b"{}", b"\x93NUMPY"])
def test_anything_else_is_called_no_gguf(prefix):
    with pytest.raises(InvalidInput, match="does not begin with 'GGUF'"):
        read(prefix)


def test_a_good_header_gives_its_facts():
    assert read(gguf()) == Facts(
        architecture="llama",
        parameters=64 * 4 + 64,
        context=2048,
        layers=4,
        kv_bytes_per_token=Bytes(2 * 4 * 2 * (8 + 8)),
        quantisation="Q4_0",
        has_chat_template=True,
    )


def test_version_2_is_read_too():
    assert read(gguf(version=2)).architecture == "llama"


def test_the_header_alone_is_enough_where_the_size_is_known():
    file = gguf()
    assert read(file[: len(file) - 1060], size=len(file)).parameters == 320


def test_an_unknown_architecture_still_gives_facts():
    facts = read(gguf([string("general.architecture", "novel")]))
    assert (facts.architecture, facts.context, facts.layers) == ("novel", 0, 0)
    assert facts.kv_bytes_per_token == 0
    assert facts.quantisation == "F32"
    assert not facts.has_chat_template


def test_a_file_without_tensors_has_no_quantisation():
    facts = read(gguf([string("general.architecture", "novel")], [], data=0))
    assert (facts.quantisation, facts.parameters) == ("none", 0)


def arch(*keys: bytes) -> list[bytes]:
    return [string("general.architecture", "x"), u32("x.block_count", 3), *keys]


@pytest.mark.parametrize(
    ("keys", "bytes_per_token"),
    [
        ([u32("x.attention.head_count", 4), u32("x.embedding_length", 64)], 2 * 3 * 4 * 32),
        (
            [
                u32("x.attention.head_count", 4),
                u32("x.attention.key_length", 5),
                u32("x.attention.value_length", 7),
            ],
            2 * 3 * 4 * 12,
        ),
        (
            [
                u32("x.embedding_length", 64),
                u32("x.attention.head_count", 4),
                array("x.attention.head_count_kv", U32, [struct.pack("<I", n) for n in (4, 0, 2)]),
            ],
            2 * 6 * 32,
        ),
        (
            [
                u32("x.embedding_length", 64),
                array("x.attention.head_count", I32, [struct.pack("<i", n) for n in (4, 8, 4)]),
            ],
            2 * 16 * 16,
        ),
        ([array("x.attention.head_count", F32, [struct.pack("<f", float("nan"))])], 0),
        ([string("x.attention.head_count", "many")], 0),
        ([u32("x.attention.head_count", 0), u32("x.embedding_length", 64)], 0),
    ],
)
def test_the_cache_follows_heads_layers_and_widths(keys, bytes_per_token):
    assert read(gguf(arch(*keys))).kv_bytes_per_token == bytes_per_token


def test_long_lists_of_numbers_are_walked_over():
    keys = [string("general.architecture", "x"), array("l", U8, [b"\x01"] * 600)]
    assert read(gguf(keys)).architecture == "x"


def test_lists_of_lists_are_walked_over_two_deep():
    inner = struct.pack("<IQ", U8, 2) + b"ab"
    assert read(gguf([*LLAMA, array("n", ARRAY, [inner, inner])])).layers == 4
    deeper = struct.pack("<IQ", ARRAY, 1) + inner
    with pytest.raises(TooLarge, match="nested deeper than 2"):
        read(gguf([*LLAMA, array("n", ARRAY, [deeper])]))


HOSTILE = {
    "a huge array": (
        [text("a") + struct.pack("<IIQ", ARRAY, U8, (1 << 64) - 1)],
        TooLarge,
        "declares 18446744073709551615 array items",
    ),
    "an array longer than the file": (
        [text("a") + struct.pack("<IIQ", ARRAY, U64, 1 << 20)],
        Damaged,
        "more than it has room for",
    ),
    "strings longer than the file": (
        [text("a") + struct.pack("<IIQ", ARRAY, STRING, 1 << 20)],
        Damaged,
        "more than it has room for",
    ),
    "a huge string": (
        [text("a") + struct.pack("<IQ", STRING, 1 << 40)],
        TooLarge,
        "a GGUF string has 1099511627776 bytes",
    ),
    "a string past the end": (
        [text("a") + struct.pack("<IQ", STRING, 1 << 19)],
        Damaged,
        "truncated: 524288 bytes wanted",
    ),
    "a duplicate key": ([u32("a", 1), u32("a", 2)], Damaged, "'a' comes twice"),
    "an unknown value type": ([text("a") + struct.pack("<I", 77)], Damaged, "no value type 77"),
    "an unknown item type": ([array("a", 13, [])], Damaged, "no value type 13"),
    "a name that is not text": ([text(b"\xff\xfe")], Damaged, "is not UTF-8"),
    "no alignment": (
        [*LLAMA, u32("general.alignment", 0)],
        Damaged,
        "alignment is 0; it must be a power of two",
    ),
    "an odd alignment": ([*LLAMA, u32("general.alignment", 24)], Damaged, "alignment is 24"),
    "a huge alignment": ([*LLAMA, u32("general.alignment", 1 << 17)], Damaged, "is 131072"),
    "an alignment that is text": (
        [*LLAMA, string("general.alignment", "32")],
        Damaged,
        "'general.alignment' is not a whole number",
    ),
    "a context that is true": (
        [string("general.architecture", "x"), text("x.context_length") + b"\x07\0\0\0\x01"],
        Damaged,
        "'x.context_length' is not a whole number",
    ),
    "a context out of range": (
        [string("general.architecture", "x"), u32("x.context_length", 1 << 31)],
        Damaged,
        "'x.context_length' is not a whole number in range",
    ),
    "no architecture": ([u32("a", 1)], Damaged, "'general.architecture' is missing"),
    "an empty architecture": (
        [string("general.architecture", "")],
        Damaged,
        "'general.architecture' is missing or no name",
    ),
    "an architecture of control characters": (
        [string("general.architecture", "a\x1b[2J")],
        Damaged,
        "missing or no name",
    ),
    "a long chat template": (
        [string("tokenizer.chat_template", "x" * (64 * 1024 + 1))],
        TooLarge,
        "has 65537 bytes; at most 65536",
    ),
    "a long named chat template": (
        [string("tokenizer.chat_template.tool_use", "中" * 30_000)],
        TooLarge,
        "has 90000 bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_keys_are_refused(name):
    keys, error, words = HOSTILE[name]
    with pytest.raises(error, match=words):
        read(gguf(keys))


def test_a_chat_template_of_64_kib_is_read():
    keys = [*arch(), string("tokenizer.chat_template", "x" * 64 * 1024)]
    assert read(gguf(keys)).has_chat_template


HOSTILE_TENSORS = {
    "overlapping tensors": (
        [tensor("a", [64], 0, 0), tensor("b", [64], 0, 224)],
        Damaged,
        "overlap at 224",
    ),
    "overlap in another order": (
        [tensor("b", [64], 0, 224), tensor("a", [64], 0, 0)],
        Damaged,
        "overlap at 224",
    ),
    "the same place twice": (
        [tensor("a", [8], 0, 0), tensor("b", [8], 0, 0)],
        Damaged,
        "overlap at 0",
    ),
    "a duplicate name": (
        [tensor("a", [8], 0, 0), tensor("a", [8], 0, 32)],
        Damaged,
        "'a' comes twice",
    ),
    "an offset beyond the file": ([tensor("a", [8], 0, 1 << 62)], Damaged, "beyond the 1060 bytes"),
    "an end beyond the file": ([tensor("a", [512], 0, 0)], Damaged, "a tensor ends at 2048"),
    "an unaligned offset": ([tensor("a", [8], 0, 16)], Damaged, "begins at 16, not a multiple"),
    "five dimensions": ([tensor("a", [1] * 5, 0, 0)], Damaged, "has 5 dimensions"),
    "a dimension of 0": ([tensor("a", [0], 0, 0)], Damaged, "impossible shape"),
    "a huge shape": ([tensor("a", [1 << 40, 1 << 40], 0, 0)], Damaged, "impossible shape"),
    "an unknown type": ([tensor("a", [8], 4, 0)], InvalidInput, "has type 4, which is not known"),
    "half a block": ([tensor("a", [16], 2, 0)], Damaged, "is not whole blocks of Q4_0"),
}


@pytest.mark.parametrize("name", HOSTILE_TENSORS)
def test_hostile_tensors_are_refused(name):
    tensors, error, words = HOSTILE_TENSORS[name]
    with pytest.raises(error, match=words):
        read(gguf(LLAMA, tensors))


def test_a_tensor_of_no_dimensions_is_one_number():
    assert read(gguf(LLAMA, [tensor("a", [], 0, 0)])).parameters == 1


@pytest.mark.parametrize(
    ("counts", "error", "words"),
    [
        ((1 << 63, 0), TooLarge, "tensors; at most 65536"),
        ((65_536, 0), Damaged, "declares 65536 tensors, more than"),
        ((0, 1 << 63), TooLarge, "keys; at most 4096"),
        ((0, 4096), Damaged, "declares 4096 keys, more than"),
        ((3, len(LLAMA)), Damaged, "two tensors overlap"),
    ],
)
def test_counts_are_not_believed(counts, error, words):
    with pytest.raises(error, match=words):
        read(gguf(counts=counts))


def test_every_truncation_is_refused():
    file = gguf()
    for length in range(len(file)):
        with pytest.raises((Damaged, InvalidInput)):
            read(file[:length])


def test_a_file_shorter_than_it_says_is_refused():
    with pytest.raises(Damaged):
        read(gguf(), size=100)
    with pytest.raises(Damaged, match="beyond the 0 bytes"):
        read(gguf(data=0))


def test_a_header_beyond_its_cap_is_refused(monkeypatch):
    monkeypatch.setattr(artefact, "HEADER_MAX", 500)
    with pytest.raises(Damaged, match="at most 500 are read"):
        read(gguf())


@pytest.mark.parametrize("version", [0, 1, 4, 0x03000000])
def test_other_versions_are_refused(version):
    with pytest.raises(InvalidInput, match=f"version {version} is not read; known: 2, 3"):
        read(gguf(version=version))


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_header_gives_facts_or_one_of_our_errors(data):
    file = bytearray(gguf())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(file) - 1100))
        piece = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.integers(0, (1 << 64) - 1).map(lambda n: n.to_bytes(8, "little")),
            )
        )
        file[at : at + len(piece)] = piece
    try:
        facts = read(bytes(file))
    except LittoralError as error:
        assert len(error.message) < 1000  # noqa: PT017  either outcome is right
    else:
        assert isinstance(facts, Facts)
        assert facts.kv_bytes_per_token >= 0


@given(st.binary(max_size=200))
def test_noise_after_the_magic_gives_one_of_our_errors(noise):
    with pytest.raises(LittoralError):
        read(b"GGUF\x03\0\0\0" + noise)


@given(st.lists(st.tuples(st.sampled_from(sorted(BLOCKS)), st.integers(1, 4)), max_size=6))
def test_tensors_packed_one_after_another_are_exactly_read(kinds):
    offset, tensors, ends = 0, [], []
    for index, (kind, blocks) in enumerate(kinds):
        block = BLOCKS[kind]
        tensors.append(tensor(f"t{index}", [block.elements, blocks], kind, offset))
        ends.append((offset, offset + blocks * block.size))
        offset = -(-ends[-1][1] // 32) * 32
    last = ends[-1][1] if ends else 0
    assert all(after[0] >= before[1] for before, after in pairwise(ends))
    assert read(gguf(LLAMA, tensors, data=last)).architecture == "llama"
    if last:
        with pytest.raises(Damaged, match="beyond"):
            read(gguf(LLAMA, tensors, data=last - 1))
