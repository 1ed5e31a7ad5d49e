"""Ollama's requests on their way to an engine, and an engine's answers as Ollama's lines."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.ollama import ask, say
from littoral.gateway.named import encode as encode_named
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import encode
from littoral.gateway.route import CHAT_FLOW
from littoral.gateway.wire.relay import Events

USAGE = {"prompt_tokens": 11, "completion_tokens": 7}
TIMINGS = {"prompt_ms": 2.0, "predicted_ms": 3.0}
WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def read(**fields):
    found = ask.read_chat(json.dumps(CHAT | fields).encode())
    if isinstance(found, Asked):
        found.began_s, found.first_us, found.total_us = 77, 2, 5
    return found


def engine_body(**fields):
    asked = read(**fields)
    return json.loads(encode(asked, "inner", asked.cap or 9))


def test_a_chat_streams_unless_it_says_otherwise():
    assert engine_body()["stream"] is True
    assert engine_body(stream=False)["stream"] is False
    assert read(model="m:latest").model == "m"


def test_options_reach_the_engine_and_those_without_effect_are_named():
    options = {
        "num_predict": 5,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "seed": 4,
        "stop": ["x"],
        "repeat_penalty": 1.1,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
    }
    body = engine_body(options=options)
    assert body.pop("max_tokens") == 5
    sent = {name: value for name, value in options.items() if name != "num_predict"}
    assert {name: body[name] for name in sent} == sent
    assert read(options={"num_ctx": 1}, keep_alive="5m", weird=1).ignored == [
        "weird",
        "options.num_ctx",
    ]
    assert read(options={"num_predict": -1}).cap is None
    assert read(options=None, weird=1).ignored == ["weird"]


def test_formats_become_response_formats():
    assert engine_body(format="json")["response_format"] == {"type": "json_object"}
    schema = {"type": "object"}
    found = engine_body(format=schema)["response_format"]
    assert (found["type"], found["json_schema"]["schema"]) == ("json_schema", schema)
    assert "response_format" not in engine_body(format="")


def test_thinking_is_switched_and_weighed():
    assert engine_body(think=False)["chat_template_kwargs"] == {"enable_thinking": False}
    body = engine_body(think="high")
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert body["reasoning_effort"] == "high"


def test_results_of_tools_find_their_calls_by_name_and_order():
    call = {"function": {"name": "f", "arguments": {"a": "é"}}}
    other = {"function": {"name": "g", "arguments": {}}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [call, other, call]},
        {"role": "tool", "content": "2", "tool_name": "g"},
        {"role": "tool", "content": "1", "tool_name": "f"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "?", "tool_name": "h"},
    ]
    body = engine_body(messages=turns, tools=[TOOL])
    assert body["tools"] == [TOOL]
    answer = body["messages"][1]
    assert answer["reasoning_content"] == "t"
    assert [each["id"] for each in answer["tool_calls"]] == ["call_0", "call_1", "call_2"]
    assert json.loads(answer["tool_calls"][0]["function"]["arguments"]) == {"a": "é"}
    results = [(each["tool_call_id"], each["content"]) for each in body["messages"][2:]]
    assert results == [("call_1", "2"), ("call_0", "1"), ("call_2", "3"), ("call_h", "?")]


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("iVBORw", "data:image/png;base64,iVBORw"),
        ("/9j/AA", "data:image/jpeg;base64,/9j/AA"),
        ("data:image/webp;base64,AA", "data:image/webp;base64,AA"),
    ],
)
def test_images_become_parts(image, url):
    turn = {"role": "user", "content": "see", "images": [image]}
    text, picture = engine_body(messages=[turn])["messages"][0]["content"]
    assert text == {"type": "text", "text": "see"}
    assert picture["image_url"]["url"] == url


def generate(**fields):
    return ask.read_generate(json.dumps({"model": "m", "prompt": "p"} | fields).encode())


def test_a_generation_is_a_chat_of_one_message():
    asked = generate(system="s", images=["AAAA"])
    body = json.loads(encode(asked, "inner", 9))
    system, user = body["messages"]
    assert system == {"role": "system", "content": "s"}
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("found", "param"),
    [
        (generate(raw=True), "raw"),
        (generate(suffix="x"), "suffix"),
        (generate(prompt=""), "prompt"),
        (read(format="xml"), "format"),
        (read(options={"temperature": 3}), "options.temperature"),
        (read(messages=[]), "messages"),
        (read(messages=[{"role": "nobody"}]), "messages[0].role"),
        (ask.read_embed(b'{"model":"m","input":[]}'), "input"),
        (ask.read_old_embed(b'{"model":"m","prompt":""}'), "prompt"),
    ],
)
def test_what_cannot_be_is_refused_by_name(found, param):
    assert isinstance(found, Refusal)
    assert (found.status, found.param) == (400, param)


def test_embeddings_are_asked_for_as_floats():
    asked = ask.read_embed(b'{"model":"m","input":["a","b"],"dimensions":8,"x":1}')
    assert asked.ignored == ["x"]
    assert json.loads(encode_named(asked, "inner", 1)) == {
        "model": "inner",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 8,
    }
    vectors = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}
    data = json.dumps(vectors | {"usage": USAGE}).encode()
    asked.total_us = 5
    found = json.loads(say.EMBEDDED.whole(asked, data, "req_1"))
    assert found == {
        "model": "m",
        "embeddings": [[1.0], [2.0]],
        "total_duration": 5000,
        "load_duration": 0,
        "prompt_eval_count": 11,
    }
    old = ask.read_old_embed(b'{"model":"m","prompt":"a"}')
    assert json.loads(say.EMBEDDED.whole(old, data, "req_1")) == {"embedding": [1.0]}
    with pytest.raises(ValueError, match="no vector"):
        say.EMBEDDED.whole(old, b'{"data":[]}', "req_1")


def whole(message, *, finish="stop", translator=say.CHAT, asked=None, **more):
    choice = {"message": message, "finish_reason": finish}
    data = json.dumps({"choices": [choice], "usage": USAGE} | more).encode()
    return json.loads(translator.whole(asked or read(stream=False), data, "req_1"))


def test_a_whole_answer_has_its_counts_and_durations():
    assert whole({"content": "a", "reasoning_content": "r"}) == {
        "model": "m",
        "created_at": "1970-01-01T00:01:17Z",
        "message": {"role": "assistant", "content": "a", "thinking": "r"},
        "done": True,
        "done_reason": "stop",
        "total_duration": 5000,
        "load_duration": 0,
        "prompt_eval_count": 11,
        "prompt_eval_duration": 2000,
        "eval_count": 7,
        "eval_duration": 3000,
    }
    timed = whole({"content": "a"}, timings=TIMINGS, finish="length")
    assert timed["done_reason"] == "length"
    assert (timed["prompt_eval_duration"], timed["eval_duration"]) == (2_000_000, 3_000_000)
    found = whole({"content": "a"}, translator=say.GENERATE)
    assert found["response"] == "a"
    assert "message" not in found
    silent = whole({"content": "a", "reasoning_content": "r"}, asked=read(think=False))
    assert "thinking" not in silent["message"]


def test_calls_have_decoded_arguments():
    calls = [{"id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}]
    found = whole({"content": None, "tool_calls": calls})["message"]["tool_calls"]
    assert found == [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]
    cut = [{"function": {"name": "f", "arguments": '{"a'}}]
    assert whole({"tool_calls": cut}, finish="length")["message"]["tool_calls"] == [
        {"function": {"name": "f", "arguments": {}}}
    ]
    with pytest.raises(ValueError, match="no JSON object"):
        whole({"tool_calls": cut})
    with pytest.raises(ValueError, match="without a name"):
        whole({"tool_calls": [{"id": "c"}]})
    with pytest.raises(ValueError, match="no choice"):
        say.CHAT.whole(read(), b'{"choices":[]}', "req_1")


def sse(*events):
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def delta(finish=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def streamed(raw, cuts=(), *, translator=say.CHAT):
    events, at, out = Events(CHAT_FLOW, hold=False), 0, b""
    stream = translator.stream(read(), "req_1")
    for cut in [*sorted({min(cut, len(raw)) for cut in cuts} - {0}), len(raw)]:
        if cut > at:
            whole_events = events.take(raw[at:cut])
            out += stream.take(whole_events) if whole_events else b""
        at = max(at, cut)
    out += stream.end(events.usage())
    assert out.endswith(b"}\n")
    return [json.loads(line) for line in out.splitlines()]


def test_a_stream_of_generation_is_lines_of_responses():
    raw = sse(delta(role="assistant", content=None), delta(content="a"), delta("stop"))
    first, last = streamed(raw, translator=say.GENERATE)
    assert (first["response"], first["done"]) == ("a", False)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    assert last["eval_count"] == 1, "pieces, where the engine counts nothing"


@st.composite
def answers(draw):
    """An engine's stream, its texts, and the arguments of each call."""
    said = {"content": "", "thinking": ""}
    events, arguments = [], []
    for kind, word in draw(
        st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), WORDS), max_size=9)
    ):
        said["thinking" if kind == "reasoning_content" else kind] += word
        events.append(delta(**{kind: word}))
    for index in range(draw(st.integers(0, 3))):
        value = {"v": draw(WORDS)}
        text, cut = json.dumps(value), draw(st.integers(0, 4))
        arguments.append(value)
        first = {"index": index, "id": f"c{index}"}
        events.append(
            delta(tool_calls=[first | {"function": {"name": "f", "arguments": text[:cut]}}])
        )
        events.append(delta(tool_calls=[{"index": index, "function": {"arguments": text[cut:]}}]))
    events += [delta(draw(st.sampled_from(["stop", "tool_calls"])))]
    events += [{"choices": [], "usage": USAGE, "timings": TIMINGS}]
    return sse(*events) + b"data: [DONE]\n\n", said, arguments


@settings(max_examples=150, deadline=None)
@given(answers(), st.lists(st.integers(0, 3000), max_size=8))
def test_any_stream_in_any_pieces_is_told_whole_once_and_ends_once(answer, cuts):
    raw, said, arguments = answer
    lines = streamed(raw, cuts)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    heard, calls = {"content": "", "thinking": ""}, []
    for line in lines:
        message = line["message"]
        assert message["role"] == "assistant"
        heard["content"] += message["content"]
        heard["thinking"] += message.get("thinking", "")
        calls += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
    assert heard == said
    assert calls == arguments
    last = lines[-1]
    assert (last["prompt_eval_count"], last["eval_count"]) == (11, 7)
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (2_000_000, 3_000_000)
