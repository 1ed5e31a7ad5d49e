"""The fake engine's vectors, ranks, scores, categories and tokens: the same in any process."""

import base64
import hashlib
import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.engines.child.fake import ANSWERERS
from littoral.engines.child.retrieval import overlap, vector
from littoral.engines.child.start import Start

START = Start(parent=1, key="k", alias="fake", slots=2, context=100, max_tokens=100)


def post(path: str, body: bytes | str):
    data = body if isinstance(body, bytes) else body.encode()
    return ANSWERERS[f"/v1/{path}"](data, START, "id")


def test_a_vector_is_of_length_one_and_always_the_same():
    packed = vector("fake", "hello", 256)
    numbers = struct.unpack("<256f", packed)
    assert math.isclose(math.hypot(*numbers), 1.0, rel_tol=1e-6)
    digest = "6de4ee0d"
    assert hashlib.sha256(packed).hexdigest()[:8] == digest
    assert vector("other", "hello", 256) != packed
    assert vector("fake", "hello", 8) != vector("fake", "hullo", 8)


def test_both_encodings_say_the_same_numbers():
    body = '{"input":["a","b"],"dimensions":5%s}'
    floats = post("embeddings", body % "")["data"]
    packed = post("embeddings", body % ',"encoding_format":"base64"')["data"]
    for one, other in zip(floats, packed, strict=True):
        assert list(struct.unpack("<5f", base64.b64decode(other["embedding"]))) == one["embedding"]
        assert one["index"] == other["index"]


def test_tokens_have_the_vector_of_the_text_that_they_stand_for():
    tokens = post("tokenize", '{"prompt":"hello there"}')["tokens"]
    by_text = post("embeddings", '{"input":"hello there"}')
    assert post("embeddings", f'{{"input":{tokens}}}') == by_text
    assert post("embeddings", f'{{"input":[{tokens}]}}') == by_text


@given(st.text())
def test_the_text_of_a_texts_tokens_is_that_text(text):
    tokenize, detokenize = ANSWERERS["/v1/tokenize"], ANSWERERS["/v1/detokenize"]
    found = tokenize(json.dumps({"prompt": text}).encode(), START, "id")
    assert found["count"] == len(found["tokens"]) == -(-len(text.encode()) // 4)
    again = detokenize(json.dumps({"tokens": found["tokens"]}).encode(), START, "id")
    assert again == {"prompt": text}


def test_a_token_that_never_was_says_so():
    assert post("detokenize", '{"tokens":[1099511627776]}') == {"prompt": "<1099511627776>"}


def test_token_strings_are_given_where_asked_for():
    body = '{"messages":[{"role":"user","content":"hi there"}],"return_token_strs":true}'
    assert post("tokenize", body)["token_strs"] == ["hi t", "here"]
    assert post("tokenize", '{"prompt":"x"}')["token_strs"] is None


def test_documents_are_ranked_by_shared_words():
    body = '{"query":"sea shore","documents":["a mountain","the sea","sea shore"],"top_n":2}'
    results = post("rerank", body)["results"]
    assert [each["index"] for each in results] == [2, 1]
    assert results[0]["relevance_score"] == 1.0


def test_chinese_words_are_single_signs():
    assert overlap("云岸", "云") == 0.5
    assert overlap("", "") == 0.0


def test_pairs_are_scored_in_order():
    data = post("score", '{"text_1":["a b","a"],"text_2":["a","z"]}')["data"]
    assert [each["score"] for each in data] == [0.5, 0.0]
    with pytest.raises(ValueError, match="shorter"):
        post("score", '{"text_1":["a b","a"],"text_2":["a"]}')


def test_a_category_is_flagged_by_its_name():
    results = post("moderations", '{"input":["kind words","violence, graphic"]}')["results"]
    assert [each["flagged"] for each in results] == [False, True]
    flagged = {name for name, flag in results[1]["categories"].items() if flag}
    assert flagged == {"violence", "violence/graphic"}
    parts = '{"input":[{"type":"text","text":"hate"},{"type":"image_url"}]}'
    assert len(post("moderations", parts)["results"]) == 1
