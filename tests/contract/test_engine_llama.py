"""What llama.cpp offers beyond the others: caches, adapters, grammars, drafts and counts."""

import pytest

from contract.driven import HELLO, launched, llama_cpp

CHAT = HELLO | {"max_tokens": 16}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def said(answer) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


async def test_a_prompt_that_comes_again_is_taken_from_the_cache(tmp_path):
    async with llama_cpp(tmp_path) as driven, launched(driven) as (_, client):
        first = (await client.post("/chat/completions", json=CHAT)).json()["usage"]
        again = (await client.post("/chat/completions", json=CHAT)).json()["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["prompt_tokens_details"]["cached_tokens"] >= first["prompt_tokens"] - 2


async def test_an_adapter_counts_only_in_requests_that_ask_for_it(tmp_path):
    tuned = CHAT | {"lora": [{"id": 0, "scale": 1.0}]}
    async with llama_cpp(tmp_path) as driven, launched(driven) as (endpoint, client):
        without = said(await client.post("/chat/completions", json=CHAT))
        assert "lora" not in endpoint.capabilities
    async with llama_cpp(tmp_path, adapter=True) as driven, launched(driven) as (endpoint, client):
        before = said(await client.post("/chat/completions", json=CHAT))
        changed = said(await client.post("/chat/completions", json=tuned))
        after = said(await client.post("/chat/completions", json=CHAT))
    assert "lora" in endpoint.capabilities
    assert changed != without
    assert (before, after) == (without, without)


async def test_a_grammar_is_obeyed(tmp_path):
    grammar = 'root ::= "ebb" | "flow"'
    async with llama_cpp(tmp_path) as driven, launched(driven) as (endpoint, client):
        text = said(await client.post("/chat/completions", json=CHAT | {"grammar": grammar}))
        bad = await client.post("/chat/completions", json=CHAT | {"grammar": "root ::= ("})
        after = await client.post("/chat/completions", json=CHAT)
    assert "grammar" in endpoint.capabilities
    assert text in {"ebb", "flow"}
    assert bad.status_code == 400
    assert after.status_code == 200


async def test_drafts_from_the_prompt_change_nothing_but_the_speed(tmp_path):
    async with llama_cpp(tmp_path) as driven, launched(driven) as (_, client):
        plain = said(await client.post("/chat/completions", json=CHAT))
    async with llama_cpp(tmp_path, ngram=True) as driven, launched(driven) as (_, client):
        drafted = said(await client.post("/chat/completions", json=CHAT))
    assert drafted == plain


async def test_the_tokens_of_a_chat_are_counted_as_they_will_be(tmp_path):
    asked = {"model": "demo", "messages": HELLO["messages"]}
    async with llama_cpp(tmp_path) as driven, launched(driven) as (endpoint, client):
        counted = (await client.post("/messages/count_tokens", json=asked)).json()
        used = (await client.post("/chat/completions", json=HELLO)).json()["usage"]
    assert "count_tokens" in endpoint.capabilities
    assert counted["input_tokens"] == used["prompt_tokens"]


@pytest.mark.parametrize(
    ("task", "offered", "not_offered"),
    [("embed", "embeddings", "chat"), ("generate", "chat", "embeddings")],
)
async def test_a_task_says_what_is_offered(tmp_path, task, offered, not_offered):
    async with llama_cpp(tmp_path, task=task) as driven, launched(driven) as (endpoint, _):
        assert offered in endpoint.capabilities
        assert not_offered not in endpoint.capabilities
