"""Every engine's chats reach clients in OpenAI's complete shape, by itself or mended on the way."""

import json

import pytest

from contract.driven import HELLO, client_of, events_of
from littoral.gateway.asked import Asked
from littoral.gateway.dialect.anthropic.count import COUNTED, encode_count, read_count
from littoral.gateway.dialect.mended.chat import MENDED_CHAT
from littoral.gateway.request import read_chat

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_an_engine_that_counts_messages_counts_what_it_then_reads(chatting):
    message = {"model": "demo", "messages": HELLO["messages"], "system": "be brief"}
    asked, chat = read_count(json.dumps(message).encode()), HELLO["messages"]
    assert isinstance(asked, Asked)
    chat = [{"role": "system", "content": "be brief"}, *chat]
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        if "count_tokens" not in instance.endpoint.capabilities:
            return
        path = instance.endpoint.paths.get("count_tokens") or "/messages/count_tokens"
        path = path.removeprefix(instance.endpoint.address.base)
        counted = await client.post(path, content=encode_count(asked, "demo", 1))
        told = (await client.post("/chat/completions", json=HELLO | {"messages": chat})).json()
    found = json.loads(COUNTED.whole(asked, counted.content, "req_1"))
    assert found == {"input_tokens": told["usage"]["prompt_tokens"]}


EXACT = {"id", "object", "created", "model", "choices"}


async def test_what_clients_get_has_the_complete_shape(chatting):
    """Of engines that say that they are exact, as it comes; of others, once it is mended."""
    asked = HELLO | {"model": "demo"}
    streamed = asked | {"stream": True, "stream_options": {"include_usage": True}}
    async with (
        chatting.engine.launch(chatting.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        whole = (await client.post("/chat/completions", json=asked)).content
        raw = (await client.post("/chat/completions", json=streamed)).content
    if not instance.endpoint.exact:
        read = read_chat(json.dumps(streamed).encode())
        assert isinstance(read, Asked)
        whole = MENDED_CHAT.whole(read, whole, "req_1")
        stream = MENDED_CHAT.stream(read, "req_1")
        raw = stream.take(raw) + stream.end(None)
    body = json.loads(whole)
    assert EXACT | {"usage"} <= set(body)
    assert (body["object"], body["model"]) == ("chat.completion", instance.endpoint.serves)
    assert body["id"].startswith("chatcmpl-")
    assert {"index", "message", "logprobs", "finish_reason"} <= set(body["choices"][0])
    assert {"role", "content", "refusal", "annotations"} <= set(body["choices"][0]["message"])
    details = {"prompt_tokens_details", "completion_tokens_details", "total_tokens"}
    assert details <= set(body["usage"])
    events = events_of(raw.decode())
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[0]["choices"][0]["delta"]["content"] is not None
    assert all(event["usage"] is None for event in events[:-1])
    assert [event["choices"] for event in events].count([]) == 1
    assert details <= set(events[-1]["usage"])
    assert raw.endswith(b"data: [DONE]\n\n")
    for event in events:
        assert set(event) >= EXACT
        assert event["model"] == instance.endpoint.serves
        for choice in event["choices"]:
            assert {"index", "delta", "logprobs", "finish_reason"} <= set(choice)
