"""Weights: which format a file really has, and what it says; its name plays no part."""

from littoral.domain.errors import InvalidInput
from littoral.domain.model import Facts
from littoral.trust.artefact import read_gguf, refuse_disguised
from littoral.trust.ctranslate import is_ctranslate2, read_ctranslate2
from littoral.trust.onnx import is_onnx, read_onnx


def read_weights(view: memoryview) -> Facts:
    """Check a file of weights and return what it says.

    Args:
        view: The whole file.

    Raises:
        InvalidInput: Of no format that is accepted, or it holds what is not accepted in one.
        TooLarge: Something in it is over a cap.
        Damaged: Truncated, or it contradicts itself.

    Checked by: tests/unit/trust/test_weights.py.
    """
    if bytes(view[:4]) == b"GGUF":
        return read_gguf(view, size=len(view))
    refuse_disguised(bytes(view[:512]))
    if is_ctranslate2(view):
        return read_ctranslate2(view)
    if is_onnx(view):
        return read_onnx(view)
    raise InvalidInput("these are no weights: accepted are GGUF, ONNX and CTranslate2 files")
