# numpy's types say Any of most arithmetic, so:
# pyright: reportAny=false, reportUnknownMemberType=false, reportUnknownVariableType=false

"""Encoder: texts to tokens, tokens to vectors, by ONNX Runtime on the CPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from littoral.engines.child.ranking import Matrix, unit

Tokens: TypeAlias = Sequence[int]
Pooling: TypeAlias = Literal["mean", "cls"]

BATCH_TOKENS = 4096
"""Most tokens, padding counted, that are computed at one time."""
CLOSE = 1.25
"""Texts are computed together where the longest has at most so many times the shortest's tokens."""
INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How an encoder is to be run; ``context`` is the most tokens of one text."""

    threads: int
    spin: bool
    context: int
    pooling: Pooling
    normalise: bool


@final
class Encoder:
    """A sentence encoder.

    Args:
        model: The ONNX file.
        tokenizer: The ``tokenizer.json`` that belongs to it.
        shape: How to run it.

    Raises:
        ValueError: One of the files cannot be used; the message says why.
    """

    def __init__(self, model: str, tokenizer: str, *, shape: Shape) -> None:
        self.shape = shape
        try:
            self._tokenizer = Tokenizer.from_file(tokenizer)
        except Exception as error:
            raise ValueError(f"the tokenizer cannot be read: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._session = _session(model, shape)
        self._inputs = [each.name for each in self._session.get_inputs()]
        strange = set(self._inputs) - INPUTS
        if strange or "input_ids" not in self._inputs:
            raise ValueError(f"the model takes {self._inputs}, not some of {sorted(INPUTS)}")
        rows = self._run([self.tokens("a")])
        if rows.ndim not in {2, 3}:
            raise ValueError(f"the model gives an array of {rows.ndim} dimensions, not 2 or 3")
        self.by_token = rows.ndim == 3
        self.width = int(rows.shape[-1])

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._tokenizer.get_vocab_size()

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """The tokens of a text; with those that mark its ends where ``special``."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def words(self, tokens: Tokens) -> list[str]:
        """Each token as it is written in the vocabulary."""
        return [self._tokenizer.id_to_token(token) or "" for token in tokens]

    def text(self, tokens: Tokens) -> str:
        """The text of tokens, without those that mark its ends."""
        return self._tokenizer.decode(list(tokens))

    def vectors(self, batch: Sequence[Tokens]) -> Matrix:
        """One vector for each row of tokens; at best the rows are of about one length."""
        return self._pooled(self._run(batch), batch)

    def token_vectors(self, row: Tokens) -> Matrix:
        """One vector of length 1 for each token of a row."""
        return unit(self._run([row])[0])

    def _pooled(self, found: NDArray[np.float32], batch: Sequence[Tokens]) -> Matrix:
        if self.by_token and self.shape.pooling == "cls":
            found = found[:, 0]
        elif self.by_token:
            mask = _mask(batch)[:, :, None].astype(np.float32)
            found = (found * mask).sum(axis=1) / mask.sum(axis=1)
        return unit(found) if self.shape.normalise else found

    def _run(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        mask = _mask(batch)
        ids = np.zeros(mask.shape, np.int64)
        for place, row in enumerate(batch):
            ids[place, : len(row)] = row
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        found = self._session.run(None, {name: feed[name] for name in self._inputs})
        return found[0]


def _session(model: str, shape: Shape) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = shape.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(shape.spin)))
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"the model cannot be loaded: {error}") from error


def _mask(batch: Sequence[Tokens]) -> NDArray[np.int64]:
    lengths = np.array([len(row) for row in batch])
    return (np.arange(lengths.max())[None, :] < lengths[:, None]).astype(np.int64)


def placed(found: Matrix, places: Sequence[int], *, into: Matrix) -> None:
    """Put computed rows where they belong."""
    into[list(places)] = found


def batches(rows: Sequence[Tokens]) -> Iterator[list[int]]:
    """Places of rows of about one length, few enough to be computed at one time."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place])):
        longest = len(rows[place])
        is_far = batch and longest > CLOSE * len(rows[batch[0]]) + 8
        if is_far or longest * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
