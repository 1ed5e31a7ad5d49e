"""What every Engine with embeddings, reranking or tokens serves, in OpenAI's and vLLM's shapes."""

import base64
import math
import struct

import pytest

from contract.driven import launched

TEXTS = ["tide and ebb", "tide and flow", "wholly else: 0123456789"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def cosine(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


async def test_embeddings_are_unit_vectors_in_the_order_asked(embedding):
    async with launched(embedding) as (endpoint, client):
        answer = await client.post("/embeddings", json={"model": "demo", "input": TEXTS})
        alone = await client.post("/embeddings", json={"model": "demo", "input": TEXTS[1]})
    body = answer.json()
    assert answer.status_code == 200
    assert "embeddings" in endpoint.capabilities
    assert body["object"] == "list"
    assert body["model"] == endpoint.engine_model
    assert [each["index"] for each in body["data"]] == [0, 1, 2]
    vectors = [each["embedding"] for each in body["data"]]
    assert all(math.isclose(cosine(each, each), 1, abs_tol=1e-4) for each in vectors)
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2])
    assert cosine(vectors[1], alone.json()["data"][0]["embedding"]) > 0.99
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > len(TEXTS)


async def test_base64_holds_the_same_numbers_in_little_endian(embedding):
    asked = {"model": "demo", "input": TEXTS[0]}
    async with launched(embedding) as (_, client):
        floats = (await client.post("/embeddings", json=asked)).json()
        coded = await client.post("/embeddings", json=asked | {"encoding_format": "base64"})
    wanted = floats["data"][0]["embedding"]
    raw = base64.b64decode(coded.json()["data"][0]["embedding"])
    assert struct.unpack(f"<{len(wanted)}f", raw) == pytest.approx(wanted, abs=1e-5)


async def test_tokens_are_embedded_as_their_text_is(embedding):
    async with launched(embedding) as (endpoint, client):
        path = endpoint.paths.get("tokenize", f"{endpoint.address.base}/tokenize")
        root = str(client.base_url).removesuffix(f"{endpoint.address.base}/")
        told = await client.post(root + path, json={"prompt": TEXTS[0], "content": TEXTS[0]})
        tokens = told.json()["tokens"]
        by_text = await client.post("/embeddings", json={"input": TEXTS[0]})
        by_token = await client.post("/embeddings", json={"input": tokens})
        rows = await client.post("/embeddings", json={"input": [tokens, tokens]})
    assert by_token.status_code == 200, by_token.text
    left = by_text.json()["data"][0]["embedding"]
    assert cosine(left, by_token.json()["data"][0]["embedding"]) > 0.999
    assert len(rows.json()["data"]) == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"input": ""},
        {"input": []},
        {"input": ["one", ""]},
        {"input": [99_999_999]},
        {"input": "word " * 100_000},
        {"input": {"text": "one"}},
        {},
    ],
)
async def test_what_cannot_be_embedded_is_refused_and_the_engine_lives_on(embedding, asked):
    async with launched(embedding) as (_, client):
        answer = await client.post("/embeddings", json=asked)
        after = await client.post("/embeddings", json={"input": "fine"})
    assert answer.status_code == 400 or "too large to process" in answer.text, answer.text
    assert answer.json()["error"]["message"]
    assert after.status_code == 200


async def test_documents_come_back_best_first(ranking):
    asked = {"query": "ebb", "documents": [*TEXTS, "ebb, ebb and ebb"], "top_n": 3}
    asked |= {"return_documents": True}
    async with launched(ranking) as (endpoint, client):
        answer = await client.post("/rerank", json=asked)
        hurried = await client.post("/rerank", json=asked, headers={"x-littoral-deadline-ms": "1"})
        every = await client.post("/rerank", json=asked | {"top_n": None})
    body = answer.json()
    assert "rerank" in endpoint.capabilities
    assert body["results"][0]["index"] == 3
    assert body["results"][0]["document"]["text"] == "ebb, ebb and ebb"
    scores = [each["relevance_score"] for each in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    assert body["usage"]["total_tokens"] > 0
    assert len(every.json()["results"]) == 4
    assert hurried.json()["results"][0]["index"] == 3


async def test_a_text_is_scored_against_each_other_one(ranking):
    asked = {"text_1": TEXTS[0], "text_2": [TEXTS[0], TEXTS[2]]}
    async with launched(ranking) as (endpoint, client):
        body = (await client.post("/score", json=asked)).json()
        uneven = await client.post("/score", json=asked | {"text_1": ["a", "b", "c"]})
    same, other = [each["score"] for each in body["data"]]
    assert "score" in endpoint.capabilities
    assert same > other
    assert uneven.status_code == 400


@pytest.mark.parametrize("asked", [{"query": "a"}, {"query": "a", "documents": []}])
async def test_nothing_to_rank_is_refused(ranking, asked):
    async with launched(ranking) as (_, client):
        assert (await client.post("/rerank", json=asked)).status_code == 400


async def test_tokens_become_the_text_again(tokenizing):
    async with launched(tokenizing) as (endpoint, client):
        base = endpoint.address.base
        root = str(client.base_url).removesuffix(f"{base}/")
        tokenize = root + endpoint.paths.get("tokenize", f"{base}/tokenize")
        detokenize = root + endpoint.paths.get("detokenize", f"{base}/detokenize")
        asked = {"prompt": "hello there", "add_special_tokens": False}
        tokens = (await client.post(tokenize, json=asked | {"content": "hello there"})).json()
        text = (await client.post(detokenize, json={"tokens": tokens["tokens"]})).json()
    assert "tokenize" in endpoint.capabilities
    assert len(tokens["tokens"]) > 1
    assert text.get("prompt", text.get("content")).strip() == "hello there"
