"""Ollama's API at the gateway, beside the admin API under the same prefix."""

import json

import pytest

CHAT = {"model": "m:latest", "messages": [{"role": "user", "content": "hi"}]}


def ask(rig, path, body=None, *, method="GET", key=None):
    client, transport = rig.client()
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key or rig.key}"]
    lines.append(f"Content-Length: {len(data)}")
    client.data_received("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    rig.loop.run()
    head, _, found = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, json.loads(found) if found else None


def test_a_chat_is_streamed_as_lines_and_booked(rig, kit):
    _, transport, engine = rig.ask(rig.post(json.dumps(CHAT).encode(), path="/api/chat"))
    assert engine.data.startswith(b"POST /v1/chat/completions ")
    sent = kit.event("a") + kit.usage + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(sent) + b"0\r\n\r\n")
    head, payload, ended = kit.unchunked(transport.data)
    assert b"content-type: application/x-ndjson\r\n" in head
    first, last = (json.loads(line) for line in payload.splitlines())
    assert first["message"]["content"] == "a"
    assert (last["done"], last["eval_count"]) == (True, 3)
    assert first["model"] == "m"
    assert ended
    assert rig.records()[0].record.tokens_out == 3
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_that_breaks_ends_with_a_line_that_says_so(rig, kit):
    _, transport, engine = rig.ask(rig.post(json.dumps(CHAT).encode(), path="/api/chat"))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    _, payload, ended = kit.unchunked(transport.data)
    assert set(json.loads(payload.splitlines()[-1])) == {"error"}
    assert not ended


def test_models_are_listed_running_and_shown(make):
    rig = make(models=("a", "b"))
    rig.snapshot(rig.grant, serves=("a", "b", "other"))
    rig.endpoints(rig.endpoint(1, serves="a"), rig.endpoint(2, serves="b", state="starting"))
    status, found = ask(rig, "/api/tags")
    assert status == 200
    assert [model["name"] for model in found["models"]] == ["a", "b"]
    assert found["models"][0]["modified_at"] == "1970-01-01T00:00:01Z"
    running = ask(rig, "/api/ps")[1]["models"]
    assert [(model["model"], model["context_length"]) for model in running] == [("a", 4096)]
    shown = ask(rig, "/api/show", {"model": "a:latest"}, method="POST")[1]
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"] == {"general.context_length": 4096}
    assert ask(rig, "/api/version")[1]["version"].count(".") == 2


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        ("/api/show", {"model": "zz"}, "POST", 404),
        ("/api/show", {}, "POST", 400),
        ("/api/show", None, "POST", 400),
        ("/api/show", None, "GET", 405),
        ("/api/tags", {}, "POST", 405),
        ("/api/pull", {"model": "x"}, "POST", 404),
        ("/api/chat", {"model": "zz", "messages": [{"role": "user"}]}, "POST", 404),
        ("/api/embed", {"model": "m", "input": "x"}, "POST", 422),
    ],
)
def test_errors_are_one_sentence(rig, path, body, method, status):
    found, error = ask(rig, path, body, method=method)
    assert (found, set(error)) == (status, {"error"})
    assert error["error"]


def test_a_key_is_needed(rig):
    assert ask(rig, "/api/tags", key="lit-sk-wrong")[0] == 401


def test_the_admin_api_is_still_handed_to_control(rig):
    ask(rig, "/api/v1/status")
    assert rig.loop.dialled[-1].port == "/control"
