"""What every Engine and each Instance of it does; ``contract.driven`` lists the drivers."""

import json
import os
import signal
from dataclasses import replace

import pytest

from contract.driven import HELLO, client_of, events_of, llama_cpp, openai
from littoral.domain.errors import InvalidInput, UpstreamFailed

LONG = HELLO | {
    "messages": [{"role": "user", "content": "[[len=400]] [[slow=1000]]"}],
    "max_tokens": 400,
    "stream": True,
    "ignore_eos": True,
}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_a_bad_option_is_refused_with_what_is_allowed(driven):
    driven.engine.check(driven.spec)
    for name, value in driven.bad.items():
        assignment = replace(driven.spec.assignment, options={name: value})
        with pytest.raises(InvalidInput, match=r"known|must be") as refused:
            driven.engine.check(replace(driven.spec, assignment=assignment))
        assert refused.value.param == f"spec.options.{name}"


@pytest.mark.parametrize("slots", [0, 100_000])
async def test_slots_out_of_range_are_refused(driven, slots):
    assignment = replace(driven.spec.assignment, slots=slots)
    with pytest.raises(InvalidInput, match="slots"):
        driven.engine.check(replace(driven.spec, assignment=assignment))


async def test_a_launched_engine_is_healthy_and_lists_its_model(driven):
    async with driven.engine.launch(driven.spec) as instance:
        assert await instance.healthy()
        assert instance.endpoint.state == "ready"
        assert instance.endpoint.serves == "demo"
        assert instance.endpoint.slots == 1
        async with client_of(instance.endpoint) as client:
            listed = (await client.get("/models")).json()
    assert [model["id"] for model in listed["data"]] == [instance.endpoint.engine_model]


async def test_a_chat_is_answered_whole_with_usage(chatting):
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        answer = await client.post("/chat/completions", json=HELLO)
    body = answer.json()
    assert answer.status_code == 200
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["finish_reason"] in {"stop", "length"}
    assert 0 < body["usage"]["completion_tokens"] <= 3
    assert body["usage"]["prompt_tokens"] > 0


async def test_a_stream_ends_with_usage_in_an_event_of_its_own(chatting):
    asked = HELLO | {"stream": True, "stream_options": {"include_usage": True}}
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        events = events_of((await client.post("/chat/completions", json=asked)).text)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-2]["choices"][0]["finish_reason"] in {"stop", "length"}
    assert events[-1]["choices"] == []
    assert 0 < events[-1]["usage"]["completion_tokens"] <= 3


async def test_a_completion_is_answered_whole_and_as_a_stream(chatting):
    asked = {"prompt": "hello", "max_tokens": 3}
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        whole = (await client.post("/completions", json=asked)).json()
        events = events_of((await client.post("/completions", json=asked | {"stream": True})).text)
    assert whole["object"] == "text_completion"
    assert whole["usage"]["completion_tokens"] <= 3
    assert events[-1]["choices"][0]["finish_reason"] in {"stop", "length"}


async def test_a_client_that_leaves_gives_its_slot_back(chatting):
    async with chatting.engine.launch(chatting.spec) as instance:
        async with (
            client_of(instance.endpoint) as leaver,
            leaver.stream("POST", "/chat/completions", json=LONG) as answer,
        ):
            async for _ in answer.aiter_bytes():
                break
        async with client_of(instance.endpoint) as client:
            assert (await client.post("/chat/completions", json=HELLO)).status_code == 200


async def test_nothing_but_health_answers_without_the_key(driven):
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint, key="wrong") as client,
    ):
        assert (await client.get("/models")).status_code == 401
        for path in ("/chat/completions", "/embeddings", "/nothing"):
            assert (await client.post(path, json=HELLO)).status_code == 401


async def test_a_killed_engine_says_so_and_can_be_launched_again(driven):
    async with driven.engine.launch(driven.spec) as instance:
        os.kill(driven.process(instance), signal.SIGKILL)
        await driven.ended(instance)
        assert not await instance.healthy()
        if instance.pid is None:
            assert "does not answer" in instance.endpoint.reason
            return
        assert "killed by signal 9" in await instance.wait()
    async with driven.engine.launch(driven.spec) as again:
        assert await again.healthy()


async def test_capabilities_are_those_a_probe_finds(chatting):
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    shaped = HELLO | {
        "max_tokens": 60,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        offered = set(instance.endpoint.capabilities)
        answer = (await client.post("/chat/completions", json=shaped)).json()
        certain = (await client.post("/chat/completions", json=HELLO | {"logprobs": True})).json()
    assert {"chat", "completions", "stream"} <= offered
    if "json_schema" in offered:
        assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["a"], bool)
    if "logprobs" in offered:
        assert certain["choices"][0]["logprobs"]["content"][0]["logprob"] < 0


async def test_an_upstream_that_refuses_the_credential_is_said_so(tmp_path):
    async with openai(tmp_path) as driven:
        grant = driven.spec.assignment.upstream
        assert grant is not None
        wrong = replace(driven.spec.assignment, upstream=replace(grant, credential="wrong"))
        with pytest.raises(UpstreamFailed, match="refuses the credential"):
            async with driven.engine.launch(replace(driven.spec, assignment=wrong)):
                pass


async def test_weights_that_cannot_be_loaded_end_with_the_log(tmp_path):
    async with llama_cpp(tmp_path) as driven:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF" + bytes(100))
        with pytest.raises(UpstreamFailed, match=r"exited with code 1; its log ends: .*load"):
            async with driven.engine.launch(replace(driven.spec, artefact_path=str(broken))):
                pass


async def test_a_schema_that_is_none_hurts_nobody_else(chatting):
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        bad = await client.post("/chat/completions", json=HELLO | {"response_format": wrong})
        after = await client.post("/chat/completions", json=HELLO)
    assert bad.status_code in {200, 400}
    assert after.status_code == 200


async def test_an_upstream_offers_what_it_is_said_to(tmp_path):
    async with openai(tmp_path) as driven:
        options = {"with": "embeddings, tokenize", "without": "tools,chat"}
        assignment = replace(driven.spec.assignment, options=options)
        async with driven.engine.launch(replace(driven.spec, assignment=assignment)) as instance:
            endpoint = instance.endpoint
    assert {"embeddings", "tokenize", "completions"} <= set(endpoint.capabilities)
    assert not {"tools", "chat", "rerank"} & set(endpoint.capabilities)
    assert endpoint.paths["tokenize"] == "/tokenize"
