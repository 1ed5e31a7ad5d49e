"""Anthropic's API at the gateway: paths, heads, errors and models, as its clients see them."""

import json

import pytest

MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = (
    b'{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":5}}'
)


def post(rig, body=None, *, path="/v1/messages", key=None, **fields):
    data = json.dumps(MESSAGE | fields).encode() if body is None else body
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"x-api-key: {key or rig.key}"]
    lines += ["anthropic-version: 2023-06-01", f"Content-Length: {len(data)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def get(rig, path, *, version=True, key=None):
    client, transport = rig.client()
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"x-api-key: {key or rig.key}"]
    lines += ["anthropic-version: 2023-06-01"] if version else []
    client.data_received("\r\n".join(lines).encode() + b"\r\n\r\n")
    head, _, body = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), head


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true"])
def test_a_message_is_answered_billed_and_named(rig, kit, path):
    _, transport, engine = rig.ask(post(rig, path=path))
    sent = engine.data.partition(b"\r\n\r\n")
    assert sent[0].startswith(b"POST /v1/chat/completions ")
    assert json.loads(sent[2])["model"] == "inner"
    engine.protocol.data_received(kit.answer(ANSWER))
    head, _, body = transport.data.partition(b"\r\n\r\n")
    assert b"\r\nrequest-id: req_" in head
    assert json.loads(body)["content"][0]["text"] == "hello"
    assert json.loads(body)["model"] == "m"
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out, record.estimated) == (7, 5, False)
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_ends_with_its_last_event_and_chunk(rig, kit):
    _, transport, engine = rig.ask(post(rig, stream=True))
    assert json.loads(engine.data.partition(b"\r\n\r\n")[2])["stream_options"]["include_usage"]
    sent = kit.event("a") + kit.event("b") + kit.usage + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(sent) + b"0\r\n\r\n")
    head, payload, ended = kit.unchunked(transport.data)
    assert b"text/event-stream" in head
    assert payload.startswith(b"event: message_start\n")
    assert payload.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert b"[DONE]" not in payload
    assert ended
    assert rig.records()[0].record.tokens_out == 3
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_that_breaks_ends_with_an_error_event(rig, kit):
    _, transport, engine = rig.ask(post(rig, stream=True))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    _, payload, ended = kit.unchunked(transport.data)
    last = payload.split(b"\n\n")[-2]
    name, data = last.split(b"\n")
    assert name == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert b"message_stop" not in payload
    assert not ended
    assert rig.leaks() == (0, 0, 0)


def test_an_event_that_makes_no_sense_is_the_engines_failure(make, kit):
    rig = make(1)
    _, transport, engine = rig.ask(post(rig, stream=True))
    bad = b'data: {"choices":[{"delta":{"content":7}}]}\n\n'
    engine.protocol.data_received(kit.stream_head + kit.chunk(bad))
    assert transport.data.startswith(b"HTTP/1.1 502 ")
    assert b"makes no sense" in transport.data
    assert rig.loop.errors == []
    assert rig.leaks() == (0, 0, 0)


def test_a_reply_that_makes_no_sense_is_asked_for_elsewhere(make, kit):
    rig = make(1, 2)
    rig.worker.source.tables.models["m"].retries.left = 5.0
    _, transport, engine = rig.ask(post(rig))
    engine.protocol.data_received(kit.answer(b'{"choices":[]}'))
    rig.loop.run()
    other = rig.loop.dialled[-1]
    assert other is not engine
    other.protocol.data_received(kit.answer(ANSWER))
    assert transport.data.startswith(b"HTTP/1.1 200 ")
    assert rig.leaks() == (0, 0, 0)


def refusal(rig, raw):
    _, transport, _ = rig.ask(raw)
    head, _, body = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("fields", "key", "status", "kind"),
    [
        ({"max_tokens": 0}, None, 400, "invalid_request_error"),
        ({}, "lit-sk-wrong", 401, "authentication_error"),
        ({"model": "zz"}, None, 404, "not_found_error"),
        ({"tools": [{"name": "t", "input_schema": {}}]}, None, 422, "invalid_request_error"),
        ({}, None, 503, "overloaded_error"),
    ],
)
def test_errors_have_anthropics_shape(make, fields, key, status, kind):
    rig = make()
    if status == 422:
        rig.endpoints(rig.endpoint(1, capabilities=("chat", "stream")))
    found, body = refusal(rig, post(rig, key=key, **fields))
    assert (found, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert set(body["error"]) == {"type", "message"}
    assert body["request_id"].startswith("req_")


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/messages", {"type", "error", "request_id"}),
        ("/api/chat", {"error"}),
        ("/v1/chat/completions", {"error"}),
    ],
)
def test_a_body_that_is_too_large_is_refused_in_the_dialect_of_its_path(rig, path, shape):
    client, transport = rig.client()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {rig.key}"]
    client.data_received("\r\n".join([*lines, "Content-Length: 9999999999"]).encode() + b"\r\n\r\n")
    head, _, body = transport.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    found = json.loads(body)
    assert set(found) == shape
    assert isinstance(found["error"], str) == path.startswith("/api/")


def test_the_request_limit_is_a_rate_limit_error(make):
    rig = make(1, rate=1)
    rig.ask(post(rig))
    status, body = refusal(rig, post(rig))
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")


def test_models_have_anthropics_shape_for_who_sends_its_version(make):
    rig = make()
    rig.snapshot(rig.grant, serves=("a", "b", "org/c"))
    status, found, head = get(rig, "/v1/models")
    assert status == 200
    assert b"request-id: req_" in head
    assert [model["id"] for model in found["data"]] == ["a", "b", "org/c"]
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, "a", "org/c")
    one = get(rig, "/v1/models/org%2Fc")[1]
    assert (one["type"], one["id"], one["display_name"]) == ("model", "org/c", "org/c")
    assert one["created_at"] == "1970-01-01T00:00:01Z"
    assert get(rig, "/v1/models", version=False)[1]["object"] == "list"
    assert get(rig, "/v1/models/zz")[1]["error"]["type"] == "not_found_error"
    assert get(rig, "/v1/nothing")[1]["type"] == "error"


@pytest.mark.parametrize(
    ("query", "names", "more"),
    [
        ("limit=2", ["a", "b"], True),
        ("limit=2&after_id=b", ["c", "d"], False),
        ("limit=1&before_id=c", ["b"], True),
        ("before_id=a", [], False),
        ("after_id=c&before_id=b", [], False),
    ],
)
def test_models_come_in_pages(make, query, names, more):
    rig = make()
    rig.snapshot(rig.grant, serves=("a", "b", "c", "d"))
    found = get(rig, f"/v1/models?{query}")[1]
    assert ([model["id"] for model in found["data"]], found["has_more"]) == (names, more)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "after_id=zz"])
def test_a_wrong_page_is_refused(rig, query):
    assert get(rig, f"/v1/models?{query}")[0] == 400
