"""The unmodified openai client, and plain requests where it has no method, over every endpoint."""

import openai
import pytest


@pytest.fixture
def client(lasting):
    """The client as its users make it, retries off."""
    base = f"http://127.0.0.1:{lasting.port}/v1"
    with openai.OpenAI(base_url=base, api_key=lasting.key, max_retries=0) as it:
        yield it


def test_embeddings_are_the_same_in_both_encodings(client):
    """The client asks for base64 unless told otherwise, and decodes it."""
    packed = client.embeddings.create(model="echo", input=["a", "b"], dimensions=8)
    floats = client.embeddings.create(
        model="echo", input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [each.embedding for each in packed.data] == [each.embedding for each in floats.data]
    assert len(packed.data[1].embedding) == 8
    assert packed.usage.prompt_tokens == 2
    single = client.embeddings.create(model="echo", input="a", dimensions=8)
    assert single.data[0].embedding == packed.data[0].embedding


def test_documents_are_ranked_in_both_shapes(lasting):
    """Jina's names and Cohere's."""
    body = {"model": "echo", "query": "sea", "documents": ["a hill", "the sea"], "top_n": 1}
    status, jina = lasting.request("POST", "/v1/rerank", body)
    assert status == 200
    assert jina["results"][0]["document"] == {"text": "the sea"}
    status, cohere = lasting.request("POST", "/v2/rerank", body)
    assert status == 200
    assert cohere["results"][0]["index"] == 1
    assert cohere["meta"]["api_version"] == {"version": "2"}


def test_pairs_are_scored_and_tokens_go_there_and_back(lasting):
    """vLLM's shapes."""
    body = {"model": "echo", "text_1": "sea", "text_2": ["sea", "hill"]}
    status, told = lasting.request("POST", "/v1/score", body)
    assert (status, [each["score"] for each in told["data"]]) == (200, [1.0, 0.0])
    status, told = lasting.request("POST", "/tokenize", {"model": "echo", "prompt": "云岸 here"})
    assert (status, told["count"]) == (200, 3)
    body = {"model": "echo", "tokens": told["tokens"]}
    assert lasting.request("POST", "/detokenize", body) == (200, {"prompt": "云岸 here"})


def test_an_input_that_is_too_long_is_a_400_and_names_why(client):
    """One input must fit the context; their sum need not."""
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match="context"):
        client.embeddings.create(model="echo", input="word " * 20_000)
    assert client.embeddings.create(model="echo", input=["word " * 2_000] * 20).data
