"""The fake engine over HTTP: many streams at once, and the faults that it is asked for."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from littoral.engines.child.fake import FakeServer, Start
from littoral.engines.child.http import serve

START = Start(
    parent=1, key="k", alias="fake-echo", slots=200, context=100, max_tokens=100, directives=True
)
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@asynccontextmanager
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    async with anyio.create_task_group() as group:
        port = await group.start(serve, FakeServer(START).handle)
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": "Bearer k"},
            trust_env=False,
            limits=limits,
            timeout=15,
        ) as made:
            yield made
        group.cancel_scope.cancel()


def chat(text: str, **more) -> dict:
    return {"messages": [{"role": "user", "content": text}], **more}


async def post(session: httpx2.AsyncClient, body: dict) -> httpx2.Response:
    return await session.post("/v1/chat/completions", json=body)


async def test_a_hundred_streams_run_at_once():
    texts: list[str] = []
    async with client() as session:

        async def one(number: int) -> None:
            body = chat(f"[[len=32]] {number}", stream=True)
            texts.append((await post(session, body)).text)

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(one, number)
    assert len(texts) == 100
    assert all(text.count("data: ") == 32 + 3 and text.endswith("[DONE]\n\n") for text in texts)


async def test_equal_requests_get_equal_bytes():
    async with client() as session:
        first, second = [(await post(session, chat("hi"))).content for _ in range(2)]
    assert first == second


async def test_a_directed_status_is_answered():
    async with client() as session:
        answer = await post(session, chat("[[status=503]]"))
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "as directed"


@pytest.mark.parametrize("fault", ["[[fail=before]]", "[[reset]]", "[[fail=after:1]]"])
async def test_a_directed_cut_is_seen_by_the_client(fault):
    async with client() as session:
        with pytest.raises(httpx2.TransportError):
            await post(session, chat(fault))


async def test_a_stream_may_be_cut_after_some_tokens():
    got: list[str] = []

    async with client() as session:
        body = chat("[[fail=after:2]] hello", stream=True)
        async with session.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.aiter_lines()
            for _ in range(3):
                got.append(await anext(lines))
                await anext(lines)
            with pytest.raises(httpx2.TransportError):
                await anext(lines)
    deltas = [json.loads(line[6:])["choices"][0]["delta"]["content"] for line in got]
    assert deltas == ["", "echo", ":  h"]


async def test_a_directed_hang_ends_when_the_client_leaves():
    async with client() as session:
        with pytest.raises(httpx2.ReadTimeout):
            await session.post("/v1/chat/completions", json=chat("[[hang]]"), timeout=0.05)
        assert (await post(session, chat("hi"))).status_code == 200


async def test_a_tool_call_is_streamed_in_fragments():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with client() as session:
        text = (await post(session, chat("hi", tools=tools, stream=True))).text
    deltas = [
        json.loads(line[6:])["choices"][0]["delta"]
        for line in text.splitlines()
        if line.startswith("data: {")
    ]
    assert deltas[0] == {"role": "assistant", "content": None}
    assert deltas[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": ""}
    assert deltas[2]["tool_calls"] == [{"index": 0, "function": {"arguments": "{}"}}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_request"),
        (b'{"messages": 3}', "invalid_request"),
        (b"{}", "invalid_request"),
        (json.dumps(chat("word " * 200)).encode(), "context_length_exceeded"),
    ],
)
async def test_a_bad_request_is_said_so(body, code):
    async with client() as session:
        answer = await session.post("/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_choices_and_their_usage_are_counted():
    async with client() as session:
        body = (await post(session, chat("hi", n=3, logprobs=True))).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 6
    assert len(body["choices"][0]["logprobs"]["content"]) == 2


async def test_bytes_that_are_no_request_end_the_connection():
    async with client() as session:
        port = session.base_url.port
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"\x00\x01 nonsense\r\n\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()


async def test_an_unknown_route_is_not_found():
    async with client() as session:
        assert (await session.get("/v1/nothing")).status_code == 404


async def test_parallel_calls_and_thought_are_streamed_and_whole_alike():
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    more = {"tools": tools, "parallel_tool_calls": True, "reasoning_effort": "low"}
    async with client() as session:
        whole = (await post(session, chat("hi", **more))).json()["choices"][0]["message"]
        text = (await post(session, chat("hi", stream=True, **more))).text
    deltas = [
        json.loads(line[6:])["choices"][0]["delta"]
        for line in text.splitlines()
        if line.startswith("data: {")
    ]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == whole["reasoning_content"]
    calls = [each for d in deltas for each in d.get("tool_calls", ())]
    assert [each["id"] for each in calls if "id" in each] != []
    assert len({each["index"] for each in calls}) == len(whole["tool_calls"]) == 2
    assert len({each["id"] for each in whole["tool_calls"]}) == 2
