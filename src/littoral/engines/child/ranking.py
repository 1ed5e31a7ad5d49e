# numpy's types say Any of most arithmetic, so:
# pyright: reportAny=false, reportUnknownMemberType=false, reportUnknownVariableType=false

"""Ranking: which documents answer a query, by words and by meaning together.

BM25 and the cosine of the vectors are made comparable as z-scores and added; among the best, the
mean over the query's tokens of the best cosine with a token of the document (MaxSim) is added too.
"""

import math
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float32]

WORD = re.compile(r"[a-z0-9]+|[^\W\d_]", re.IGNORECASE)
"""Words of Latin letters and digits; of other scripts, each letter is one."""
SATURATION, LENGTH_SHARE = 1.2, 0.75
MAX_SIM_SHARE = 0.25
"""Weight of MaxSim beside the other two: what ranked docstrings best (docs/performance.md)."""
LEAST_SPREAD = 1e-6
LEAST_NORM = 1e-12


def bm25(query: str, documents: Sequence[str]) -> Vector:
    """Score of each document for the words of the query; rare words count more."""
    bags = [Counter(_words(document)) for document in documents]
    lengths = np.array([sum(bag.values()) for bag in bags], np.float32)
    mean = float(lengths.mean()) or 1.0
    scores = np.zeros(len(documents), np.float32)
    for word in set(_words(query)):
        counts = np.array([bag[word] for bag in bags], np.float32)
        holding = int((counts > 0).sum())
        weight = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
        damped = counts + SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths / mean)
        scores += weight * counts * (SATURATION + 1) / damped
    return scores


def z_scores(values: Vector) -> Vector:
    """Values as distances from their mean, in standard deviations; zeros where all are equal."""
    spread = float(values.std())
    if spread < LEAST_SPREAD:
        return np.zeros_like(values)
    return (values - values.mean()) / spread


def fused(words: Vector, meaning: Vector) -> Vector:
    """Both kinds of score added, made comparable."""
    return z_scores(words) + z_scores(meaning)


def max_sim(query: Matrix, document: Matrix) -> float:
    """Mean over the query's tokens of the best cosine with a token of the document."""
    return float((query @ document.T).max(axis=1).mean())


def refined(scores: Vector, *, best: Sequence[int], similar: Sequence[float]) -> Vector:
    """Add MaxSim, as z-scores among the best; all others count as the least similar of them."""
    extra = MAX_SIM_SHARE * z_scores(np.array(similar, np.float32))
    total = scores + extra.min()
    total[list(best)] = scores[list(best)] + extra
    return total


def relevance(scores: Vector) -> list[float]:
    """Scores between 0 and 1, in the same order: comparable within one answer, no probabilities."""
    return (1 / (1 + np.exp(-scores.astype(np.float64)))).tolist()


def unit(rows: Matrix) -> Matrix:
    """Rows stretched to length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), LEAST_NORM)


def shortened(rows: Matrix, width: int) -> Matrix:
    """The first ``width`` numbers of each row, stretched to length 1."""
    return unit(rows[:, :width])


def cosines(rows: Matrix) -> Vector:
    """How alike the first row and each of the others are."""
    lengthened = unit(rows)
    return lengthened[1:] @ lengthened[0]


def pair_cosines(left: Matrix, right: Matrix) -> list[float]:
    """How alike each row is to its counterpart."""
    return (unit(left) * unit(right)).sum(axis=1).tolist()


def ordered(scores: Vector) -> list[int]:
    """Places from the highest score to the lowest."""
    return np.argsort(-scores, kind="stable").tolist()


def base64(rows: Matrix) -> list[str]:
    """Each row as little-endian float32 numbers, as OpenAI's clients read them."""
    return [b64encode(row.astype("<f4").tobytes()).decode() for row in rows]


def floats(rows: Matrix) -> list[list[float]]:
    """The numbers of each row."""
    return rows.tolist()


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]
