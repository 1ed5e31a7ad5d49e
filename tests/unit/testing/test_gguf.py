"""The tiny model: the same bytes wherever it is made."""

import hashlib

from littoral.testing import gguf


def test_the_tiny_model_is_the_same_bytes_everywhere(tmp_path):
    data = gguf.write(tmp_path / "tiny.gguf").read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (gguf.BYTES, gguf.SHA256)
