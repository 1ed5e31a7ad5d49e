"""Documents are ranked by words and by meaning, made comparable."""

import base64 as encoded
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from littoral.engines.child import ranking
from littoral.engines.child.ranking import (
    bm25,
    cosines,
    fused,
    max_sim,
    ordered,
    pair_cosines,
    refined,
    relevance,
    shortened,
    unit,
    z_scores,
)

VALUES = arrays(np.float32, st.integers(1, 30), elements=st.integers(-20, 20).map(float))


def test_rare_words_and_more_of_them_count_more():
    documents = ["the tide", "the ebb of the tide", "the ebb, the ebb", "the land"]
    scores = bm25("ebb the", documents)
    assert ordered(scores)[0] == 2
    assert scores[1] > scores[0]
    assert bm25("nothing", documents).tolist() == [0, 0, 0, 0]


def test_each_chinese_letter_is_a_word():
    assert ordered(bm25("云岸", ["河流", "云在岸边"])) == [1, 0]


def test_documents_without_words_are_ranked_too():
    assert bm25("a", ["", "!"]).tolist() == [0, 0]


@given(VALUES)
def test_z_scores_keep_the_order_and_have_no_mean(values):
    scores = z_scores(values)
    assert abs(float(scores.mean())) < 1e-4
    by_value = scores[np.argsort(values, kind="stable")]
    assert (np.diff(by_value) > -1e-4).all()


def test_both_kinds_of_score_count_alike():
    words = np.array([0, 100, 50], np.float32)
    meaning = np.array([0.1, 0.3, 0.9], np.float32)
    assert ordered(fused(words, meaning)) == [2, 1, 0]


def test_token_by_token_likeness_refines_the_best_and_leaves_the_others_behind():
    scores = np.array([1.0, 0.9, 0.8, -3.0], np.float32)
    total = refined(scores, best=[0, 1, 2], similar=[0.1, 0.2, 0.9])
    assert ordered(total) == [2, 0, 1, 3]


def test_the_best_counterpart_of_each_token_counts():
    query = np.eye(2, 3, dtype=np.float32)
    assert max_sim(query, query) == pytest.approx(1)
    assert max_sim(query, query[:1]) == pytest.approx(0.5)


@given(VALUES)
def test_relevance_lies_between_0_and_1_in_the_same_order(values):
    found = np.array(relevance(values))
    assert ((found > 0) & (found < 1)).all()
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()


def test_vectors_are_compared_by_angle_alone():
    rows = np.array([[2, 0], [5, 0], [0, 3]], np.float32)
    assert cosines(rows).tolist() == [1, 0]
    assert pair_cosines(rows[:2], rows[1:]) == [1, 0]
    assert shortened(np.array([[3, 4, 5]], np.float32), 1).tolist() == [[1]]
    assert unit(np.zeros((1, 2), np.float32)).tolist() == [[0, 0]]


def test_base64_is_little_endian_float32():
    (text,) = ranking.base64(np.array([[1.5, -2]], np.float32))
    assert struct.unpack("<2f", encoded.b64decode(text)) == (1.5, -2)
