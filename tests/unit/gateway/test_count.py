"""Counting a message's tokens: who is asked, and what is said where nobody can be."""

import json

import pytest

COUNT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}


def post(rig, **fields):
    data = json.dumps(COUNT | fields).encode()
    return rig.post(data, path="/v1/messages/count_tokens")


def able(make, *capabilities):
    rig = make()
    rig.endpoints(rig.endpoint(1, capabilities=("chat", *capabilities)))
    return rig


def parted(data):
    head, _, body = data.partition(b"\r\n\r\n")
    return head, json.loads(body)


def test_an_engine_that_counts_messages_is_asked_in_anthropics_shape(make, kit):
    rig = able(make, "count_tokens", "tokenize", "tokenize_chat")
    system = [{"type": "text", "text": "s"}]
    tools = [{"name": "t", "input_schema": {"type": "object"}}]
    _, transport, engine = rig.ask(post(rig, system=system, tools=tools))
    head, sent = parted(engine.data)
    assert head.startswith(b"POST /v1/messages/count_tokens ")
    assert sent == COUNT | {"model": "inner", "system": system, "tools": tools}
    engine.protocol.data_received(kit.answer(b'{"input_tokens":42}'))
    head, body = parted(transport.data)
    assert body == {"input_tokens": 42}
    assert b"x-littoral-estimated" not in head
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out) == (0, 0), "counting is not billed"
    assert rig.leaks() == (0, 0, 0)


def test_a_tokenizer_is_asked_for_the_chat_where_nobody_counts_messages(make, kit):
    rig = able(make, "tokenize", "tokenize_chat")
    _, transport, engine = rig.ask(post(rig, system="s"))
    head, sent = parted(engine.data)
    assert head.startswith(b"POST /v1/tokenize ")
    assert sent["messages"][0] == {"role": "system", "content": "s"}
    assert sent["model"] == "inner"
    engine.protocol.data_received(kit.answer(b'{"count":9,"max_model_len":10,"tokens":[1]}'))
    assert parted(transport.data)[1] == {"input_tokens": 9}
    assert rig.leaks() == (0, 0, 0)


def test_an_estimate_says_that_it_is_one(make):
    rig = able(make)
    turns = [
        {"role": "user", "content": "a" * 40},
        {"role": "user", "content": [PICTURE, {"type": "text", "text": "b" * 8}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "i", "name": "n", "input": {}}],
        },
    ]
    _, transport, engine = rig.ask(post(rig, messages=turns))
    assert engine is None
    head, body = parted(transport.data)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"x-littoral-estimated: input_tokens\r\n" in head
    assert b"request-id: req_" in head
    calls = len('{"name":"n","arguments":"{}"}')
    assert body["input_tokens"] == 2 * 4 + 10 + 256 + 2 + -(-calls // 4)
    assert rig.leaks() == (0, 0, 0)


def test_after_an_estimate_the_connection_goes_on(make):
    rig = able(make)
    client, transport, _ = rig.ask(post(rig))
    transport.data = b""
    client.data_received(post(rig))
    assert transport.data.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("reply", [b"{}", b'{"input_tokens":"x"}', b'{"count":-1}'])
def test_a_reply_without_a_count_is_the_engines_fault(make, kit, reply):
    rig = able(make, "count_tokens")
    _, transport, engine = rig.ask(post(rig))
    engine.protocol.data_received(kit.answer(reply))
    assert transport.data.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"messages": []}, 400),
        ({"model": "zz"}, 404),
        ({"messages": [{"role": "assistant", "content": [PICTURE]}]}, 400),
    ],
)
def test_what_cannot_be_counted_is_refused(make, fields, status):
    rig = able(make)
    _, transport, _ = rig.ask(post(rig, **fields))
    assert transport.data.startswith(b"HTTP/1.1 %d " % status)
    assert parted(transport.data)[1]["type"] == "error"
