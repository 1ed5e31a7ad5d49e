"""Texts become tokens and vectors, on the real library with tiny weights."""

import numpy as np
import pytest

from littoral.engines.child.encoder import BATCH_TOKENS, Encoder, Shape, batches
from littoral.testing import onnx


def made(tmp_path, *, model=None, tokenizer=None, **more) -> Encoder:
    given = {"threads": 1, "spin": False, "context": 64, "pooling": "mean", "normalise": True}
    return Encoder(
        str(model or onnx.write(tmp_path / "m.onnx")),
        str(tokenizer or onnx.write_tokenizer(tmp_path / "t.json")),
        shape=Shape(**given | more),
    )


def test_a_text_becomes_tokens_and_the_text_again(tmp_path):
    encoder = made(tmp_path)
    tokens = encoder.tokens("潮 tide")
    assert tokens[0] == onnx.CLS
    assert tokens[-1] == onnx.SEP
    assert encoder.text(tokens) == "潮 tide"
    assert encoder.words(encoder.tokens("ab", special=False)) == ["a", "b"]
    assert encoder.vocabulary == onnx.SYMBOLS + 2


def test_a_vector_does_not_hang_on_what_stands_beside_it(tmp_path):
    encoder = made(tmp_path)
    rows = [encoder.tokens(text) for text in ("a", "a long one, padded for")]
    together = encoder.vectors(rows)
    assert np.allclose(together[0], encoder.vectors(rows[:1])[0], atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_pooling_and_length_are_as_asked(tmp_path):
    row = [[onnx.CLS, 5, onnx.SEP]]
    first = made(tmp_path, pooling="cls", normalise=False).vectors(row)[0]
    mean = made(tmp_path, normalise=False).vectors(row)[0]
    assert not np.allclose(first, mean)
    assert not np.isclose(np.linalg.norm(mean), 1)
    assert made(tmp_path).token_vectors(row[0]).shape == (3, onnx.WIDTH)


@pytest.mark.parametrize(
    ("spoilt", "why"), [("model", "model cannot be loaded"), ("tokenizer", "tokenizer cannot")]
)
def test_files_that_cannot_be_used_are_named(tmp_path, spoilt, why):
    path = tmp_path / "spoilt"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=why):
        made(tmp_path, **{spoilt: path})


def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed():
    rows = [[1] * length for length in (3, 500, 3, 40, 500, 41, 500, 500, 500, 500, 500, 500, 500)]
    found = list(batches(rows))
    assert sorted(place for batch in found for place in batch) == list(range(len(rows)))
    for batch in found:
        lengths = [len(rows[place]) for place in batch]
        assert max(lengths) * len(batch) <= BATCH_TOKENS
        assert max(lengths) <= 1.25 * min(lengths) + 8
