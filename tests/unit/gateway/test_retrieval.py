"""Embeddings, ranks, scores and tokens: what is read, sent to an engine, and answered."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway import embedding, named, ranking, tokenization
from littoral.gateway.dialect.rerank import COHERE, JINA
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import ROUTES

READERS = {
    "embeddings": embedding.read_embedding,
    "rerank": ranking.read_rerank,
    "score": ranking.read_score,
    "tokenize": tokenization.read_tokenize,
    "detokenize": tokenization.read_detokenize,
}
GOOD = {
    "embeddings": {"model": "m", "input": "hi"},
    "rerank": {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]},
    "score": {"model": "m", "text_1": "a", "text_2": ["b", "c"]},
    "tokenize": {"model": "m", "prompt": "hi"},
    "detokenize": {"model": "m", "tokens": [1]},
}


def read(kind, body):
    return READERS[kind](json.dumps(body).encode())


def sent(kind, body):
    asked = read(kind, body)
    assert not isinstance(asked, Refusal), asked
    encode = ranking.encode_rerank if kind == "rerank" else named.encode
    return json.loads(encode(asked, "inner", 1))


@pytest.mark.parametrize(
    ("kind", "change", "param"),
    [
        ("embeddings", {"input": ""}, "input"),
        ("embeddings", {"input": []}, "input"),
        ("embeddings", {"input": ["a", ""]}, "input[1]"),
        ("embeddings", {"input": ["a", 1]}, "input"),
        ("embeddings", {"input": [[1], 1]}, "input"),
        ("embeddings", {"input": [[]]}, "input[0]"),
        ("embeddings", {"input": [-1]}, "input[0]"),
        ("embeddings", {"input": ["a"] * 2049}, "input"),
        ("embeddings", {"input": 3}, "input"),
        ("embeddings", {"dimensions": 0}, "dimensions"),
        ("embeddings", {"encoding_format": "int8"}, "encoding_format"),
        ("rerank", {"documents": []}, "documents"),
        ("rerank", {"documents": [{"title": "x"}]}, "documents[0].text"),
        ("rerank", {"query": ""}, "query"),
        ("rerank", {"top_n": -1}, "top_n"),
        ("score", {"text_2": None}, "text_1"),
        ("score", {"data_1": "x"}, "text_1"),
        ("score", {"text_1": ["a", "b", "c"]}, "text_1"),
        ("tokenize", {"prompt": None}, "prompt"),
        ("tokenize", {"messages": [{"role": "user", "content": "x"}]}, "prompt"),
        (
            "tokenize",
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
        ("detokenize", {"tokens": [-1]}, "tokens[0]"),
    ],
)
def test_a_wrong_field_is_named(kind, change, param):
    refusal = read(kind, {**GOOD[kind], **change})
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, param)


@pytest.mark.parametrize("kind", GOOD)
def test_the_engine_gets_its_own_name_and_no_unknown_field(kind):
    asked = read(kind, GOOD[kind] | {"api_base": "http://elsewhere"})
    assert list(asked.ignored) == ["api_base"]
    body = sent(kind, GOOD[kind] | {"api_base": "http://elsewhere"})
    assert body["model"] == "inner"
    assert "api_base" not in body


@pytest.mark.parametrize("kind", GOOD)
def test_a_missing_model_is_named(kind):
    without = {name: value for name, value in GOOD[kind].items() if name != "model"}
    assert read(kind, without).param == "model"


def test_documents_go_to_the_engine_as_texts():
    assert sent("rerank", GOOD["rerank"] | {"top_n": 0})["documents"] == ["a", "b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("text_1", "text_2"), ("data_1", "data_2"), ("queries", "documents"), ("queries", "items")],
)
def test_pairs_are_read_by_each_of_their_names(one, other):
    body = sent("score", {"model": "m", one: "a", other: ["b", "c"]})
    assert (body["text_1"], body["text_2"]) == (["a", "a"], ["b", "c"])
    body = sent("score", {"model": "m", one: ["a", "b"], other: ["c", "d"]})
    assert (body["text_1"], body["text_2"]) == (["a", "b"], ["c", "d"])


def test_what_must_fit_the_context_is_the_longest_input():
    assert read("embeddings", {"model": "m", "input": ["a" * 8, "b" * 400]}).longest == 100
    assert read("embeddings", {"model": "m", "input": [1, 2, 3]}).longest == 3
    assert read("embeddings", {"model": "m", "input": [[1, 2], [3]]}).longest == 2
    assert read("embeddings", {"model": "m", "input": "汉字"}).longest == 2
    assert read("rerank", GOOD["rerank"] | {"documents": ["a" * 40, "b"]}).longest == 11


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail(data):
    for reader in READERS.values():
        assert isinstance(reader(data), Refusal) or data


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_any_value_in_any_field_is_read_or_refused_as_400(kind, data):
    fields = sorted({"input", "documents", "text_1", "text_2", "prompt", "tokens", "model"})
    changed = GOOD[kind] | {data.draw(st.sampled_from(fields)): data.draw(values)}
    found = READERS[kind](json.dumps(changed).encode("utf-8", "surrogatepass"))
    assert not isinstance(found, Refusal) or found.status == 400


RESULTS = {
    "results": [
        {"index": 1, "relevance_score": 0.2},
        {"index": 0, "relevance_score": 0.9, "document": {"text": "the engine's"}},
    ],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}


def ranked(translator, results=RESULTS, **change):
    asked = read("rerank", GOOD["rerank"] | change)
    return json.loads(translator.whole(asked, json.dumps(results).encode(), "req_1"))


def test_jinas_shape_has_the_documents_best_first():
    told = ranked(JINA)
    assert told == {
        "object": "list",
        "id": "req_1",
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
        "results": [
            {"index": 0, "relevance_score": 0.9, "document": {"text": "a"}},
            {"index": 1, "relevance_score": 0.2, "document": {"text": "b"}},
        ],
    }
    assert "document" not in ranked(JINA, return_documents=False)["results"][0]


def test_coheres_shape_has_what_was_billed():
    told = ranked(COHERE, top_n=1)
    assert told["results"] == [{"index": 0, "relevance_score": 0.9}]
    assert told["meta"]["billed_units"] == {"search_units": 1}
    assert "document" in ranked(COHERE, return_documents=True)["results"][0]


@pytest.mark.parametrize(
    "results",
    [
        {"results": [{"index": 2, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}]},
        {"results": [{"index": 0}]},
        {},
    ],
)
def test_ranks_of_documents_that_were_not_given_are_an_engines_fault(results):
    with pytest.raises(ValueError, match=r"it ranked|relevance_score|results"):
        ranked(JINA, results)


def ask(rig, kit, path, body, reply):
    everything = ("chat", "embeddings", "rerank", "score", "tokenize")
    rig.endpoints(rig.endpoint(1, capabilities=everything))
    raw = rig.post(json.dumps(body).encode(), path=path)
    _, transport, engine = rig.ask(raw)
    if engine is not None:
        engine.protocol.data_received(kit.answer(json.dumps(reply).encode()))
    return transport.data, engine


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/embeddings", "embeddings"),
        ("/v1/rerank", "rerank"),
        ("/v2/rerank", "rerank"),
        ("/v1/score", "score"),
        ("/tokenize", "tokenize"),
        ("/v1/detokenize", "detokenize"),
    ],
)
def test_each_path_asks_its_own_and_books_the_input(rig, kit, path, kind):
    reply = {"results": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    data, engine = ask(rig, kit, path, GOOD[kind], reply)
    assert data.startswith(b"HTTP/1.1 200")
    assert engine.data.startswith(b"POST /v1/%b HTTP/1.1" % kind.encode())
    record = rig.records()[0].record
    expected = 0 if kind.endswith("tokenize") else 7
    assert (record.tokens_in, record.tokens_out) == (expected, 0)
    assert rig.leaks() == (0, 0, 0)


def test_an_engine_that_counts_nothing_is_billed_no_output(rig, kit):
    ask(rig, kit, "/v1/embeddings", GOOD["embeddings"], {"data": ["x" * 4000]})
    record = rig.records()[0].record
    assert (record.tokens_out, record.estimated) == (0, True)


def test_a_model_that_cannot_is_refused_with_those_that_can(rig):
    rig.endpoints(
        rig.endpoint(1, capabilities=("chat",)),
        rig.endpoint(2, serves="vectors", capabilities=("embeddings",)),
        rig.endpoint(3, serves="down", capabilities=("embeddings",), state="failed"),
    )
    raw = rig.post(json.dumps(GOOD["embeddings"]).encode(), path="/v1/embeddings")
    _, transport, engine = rig.ask(raw)
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 422")
    message = json.loads(transport.data.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert "1 lack embeddings; models that can: vectors" in message
    assert "down" not in message


def test_only_models_of_this_key_are_named(make):
    rig = make(1, models=("m",))
    rig.endpoints(
        rig.endpoint(1, capabilities=("chat",)),
        rig.endpoint(2, serves="secret", capabilities=("embeddings",)),
    )
    raw = rig.post(json.dumps(GOOD["embeddings"]).encode(), path="/v1/embeddings")
    assert b"secret" not in rig.ask(raw)[1].data


def test_every_route_takes_post_alone(rig):
    for path in ROUTES:
        raw = rig.post(b"{}", path=path.decode()).replace(b"POST", b"PUT", 1)
        assert rig.ask(raw)[1].data.startswith(b"HTTP/1.1 405"), path
