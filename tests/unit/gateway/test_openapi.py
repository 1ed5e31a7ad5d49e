"""The OpenAPI document: every route is in it, and what it says of bodies is what is read."""

import json
import re
from pathlib import Path

import pytest

from littoral.gateway import openapi, realtime, request
from littoral.gateway.desk import OLLAMA_PATHS
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import ROUTES

FILE = Path(__file__).parents[3] / "docs/reference/openapi.json"
DOCUMENT = json.loads(openapi.body())


def test_every_route_is_described():
    described = {path.encode() for path in openapi.ASKED}
    assert described == set(ROUTES)
    told = {
        (path, method) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert {(path.decode(), "post") for path in ROUTES} <= told
    assert {
        (path.decode(), method.decode().lower()) for path, method in OLLAMA_PATHS.items()
    } <= told


def test_the_file_in_the_reference_is_current():
    assert json.loads(FILE.read_text()) == DOCUMENT, (
        "littoral openapi > docs/reference/openapi.json"
    )


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    found = set(references(DOCUMENT))
    for reference in found:
        at = DOCUMENT
        for word in reference.removeprefix("#/").split("/"):
            at = at[word]
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert schemas <= found
    names = [o["operationId"] for path in DOCUMENT["paths"].values() for o in path.values()]
    assert len(set(names)) == len(names)


def test_each_dialect_has_its_own_shape_of_errors():
    def shape(path):
        answers = DOCUMENT["paths"][path]["post"]["responses"]
        return answers["422"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]

    assert shape("/v1/chat/completions") == "Error"
    assert shape("/v1/messages") == "AnthropicError"
    assert shape("/api/chat") == "OllamaError"


@pytest.mark.parametrize(
    ("field", "word", "inside", "outside"),
    [("temperature", "maximum", 0, 1), ("n", "maximum", 0, 1), ("n", "minimum", 0, -1)],
)
def test_bounds_are_those_that_are_enforced(field, word, inside, outside):
    schema = DOCUMENT["components"]["schemas"]["Chat"]["properties"][field]["anyOf"][0]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    within = request.read_chat(json.dumps(body | {field: schema[word] + inside}).encode())
    beyond = request.read_chat(json.dumps(body | {field: schema[word] + outside}).encode())
    assert not isinstance(within, Refusal)
    assert isinstance(beyond, Refusal)


def test_it_is_served_to_whoever_asks(rig):
    client, transport = rig.client()
    client.data_received(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = transport.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body) == DOCUMENT
    transport.data = b""
    client.data_received(b"POST /openapi.json HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert transport.data.startswith(b"HTTP/1.1 405 ")


def test_the_realtime_session_is_described_as_an_upgrade_with_all_that_is_said(rig):
    told = DOCUMENT["paths"]["/v1/realtime"]["get"]
    assert "101" in told["responses"]
    assert "200" not in told["responses"]
    assert [each["name"] for each in told["parameters"]] == ["intent", "model"]
    source = Path(realtime.__file__).read_text()
    events = set(re.findall(r'_event\(\s*"([a-z._]+)"', source))
    kinds = set(re.findall(r'_told\("([a-z]+)"', source))
    events |= {f"conversation.item.input_audio_transcription.{kind}" for kind in kinds}
    assert set(told["x-websocket"]["server"]) == events
    for kind in told["x-websocket"]["client"]:
        session = realtime.Session("s", None)
        (answer, *_) = session.hear(json.dumps({"type": kind, "audio": "?", "session": 1}).encode())
        assert b"Invalid value" not in answer
    client, transport = rig.client()
    client.data_received(b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n")
    assert transport.data.startswith(b"HTTP/1.1 400 ")
    assert b"is a WebSocket" in transport.data
