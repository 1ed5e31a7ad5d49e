import pytest

from littoral.trust.quantisation import BLOCKS, MIXTURES


def test_the_table_of_types_is_the_formats_own():
    constants = pytest.importorskip("gguf.constants")
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in constants.GGML_QUANT_SIZES.items()}
    assert {number: tuple(block) for number, block in BLOCKS.items()} == theirs


def test_the_names_of_mixtures_are_the_formats_own():
    constants = pytest.importorskip("gguf.constants")
    for kind in constants.LlamaFileType:
        if kind.name != "GUESSED":
            assert kind.name.endswith(MIXTURES[int(kind)])
