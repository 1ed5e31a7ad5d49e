"""Responses as they are said: whole, as streams cut anywhere, and when they fail."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import UpstreamFailed
from littoral.gateway.dialect.responses import ask
from littoral.gateway.dialect.responses.answer import Responses, ResponsesVoice
from littoral.gateway.refusal import refuse
from littoral.gateway.tally import Usage

REQUIRED = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice", "text"),
    *("truncation", "parallel_tool_calls", "top_p", "presence_penalty", "frequency_penalty"),
    *("top_logprobs", "temperature", "reasoning", "usage", "max_output_tokens", "max_tool_calls"),
    *("store", "background", "service_tier", "metadata", "safety_identifier", "prompt_cache_key"),
}
BROKE = refuse(UpstreamFailed, "the engine failed")


def asked(**fields):
    found = ask.read(json.dumps({"model": "m", "input": "hi", **fields}).encode())
    found.began_s, found.total_us = 5, 2_000_000
    return found


def chunk(delta=None, *, finish=None, usage=None):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"choices": choices, "usage": usage}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def parsed(raw):
    """Names and bodies of events; each is checked to be one line of each."""
    events = []
    for block in raw.decode().split("\n\n")[:-1]:
        if block == "data: [DONE]":
            events.append(("[DONE]", None))
            continue
        name, data = block.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert name == f"event: {body['type']}"
        events.append((body["type"], body))
    return events


def spoken(chunks, **fields):
    stream = Responses.stream(asked(**fields), "req_x")
    out = b"".join(stream.take(each) for each in chunks)
    return parsed(out + stream.end(Usage(3, 1, 2)))


def names(events):
    return [name.removeprefix("response.") for name, _ in events]


def test_every_required_key_is_there_and_says_what_was_asked():
    wish = {
        "instructions": "brief",
        "metadata": {"k": "v"},
        "temperature": 0.25,
        "max_output_tokens": 9,
        "prompt_cache_key": "pc",
        "reasoning": {"effort": "low"},
        "service_tier": "auto",
        "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
        "tool_choice": "none",
        "parallel_tool_calls": False,
    }
    reply = b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'
    said = json.loads(Responses.whole(asked(**wish), reply, "req_x"))
    assert set(said) >= REQUIRED
    assert (said["id"], said["created_at"], said["completed_at"]) == ("resp_x", 5, 7)
    assert (said["instructions"], said["metadata"]) == ("brief", {"k": "v"})
    assert (said["temperature"], said["top_p"], said["max_output_tokens"]) == (0.25, 1.0, 9)
    assert said["reasoning"] == {"effort": "low", "summary": None}
    assert (said["service_tier"], said["store"], said["background"]) == ("default", False, False)
    assert said["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False},
        {"type": "custom", "name": "c"},
    ]
    assert (said["tool_choice"], said["parallel_tool_calls"]) == ("none", False)
    assert (said["usage"], said["previous_response_id"]) == (None, None)
    assert said["text"] == {"format": {"type": "text"}}


def test_a_choice_among_allowed_tools_is_repeated_in_full():
    allowed = [{"type": "function", "name": "f"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    wish = {"tools": allowed, "tool_choice": choice}
    reply = b'{"choices":[{"message":{"content":"yes"}}]}'
    assert json.loads(Responses.whole(asked(**wish), reply, "req_x"))["tool_choice"] == choice


def test_a_schema_on_many_lines_is_repeated_on_one():
    text = b'{"type":"json_schema","name":"n","schema":{\n "type":\r\n "object"}}'
    body = b'{"model":"m","input":"hi","stream":true,"text":{"format":%b}}' % text
    opening = Responses.stream(ask.read(body), "req_x").take(b"")
    (_, created), _ = parsed(opening)
    assert created["response"]["text"]["format"]["schema"] == {"type": "object"}


def test_usage_has_both_details():
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    events = spoken([chunk({"content": "a"}, finish="stop"), chunk(usage=usage)])
    assert events[-2][1]["response"]["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 13,
    }
    counted = spoken([chunk({"content": "a"}, finish="stop")])[-2][1]["response"]["usage"]
    assert (counted["input_tokens"], counted["total_tokens"]) == (3, 5)


def test_a_text_is_said_in_the_order_that_clients_expect():
    events = spoken([chunk({"role": "assistant", "content": ""}), chunk({"content": "a"})])
    assert names(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
        "[DONE]",
    ]


def test_a_call_is_said_with_its_arguments_as_they_come():
    first = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": text}} for text in ('{"a"', ":1}")]
    events = spoken([chunk({"tool_calls": [each]}) for each in (first, *rest)])
    assert names(events)[2:-2] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    (item,) = events[-2][1]["response"]["output"]
    assert (item["type"], item["call_id"], item["arguments"]) == (
        "function_call",
        "call_1",
        '{"a":1}',
    )


@pytest.mark.parametrize(("arguments", "text"), [('{"input":"x\\ny"}', "x\ny"), ("raw", "raw")])
def test_a_free_text_tool_is_called_with_its_text(arguments, text):
    call = {"index": 0, "id": "c", "function": {"name": "patch", "arguments": arguments}}
    tools = [{"type": "custom", "name": "patch"}]
    events = spoken([chunk({"tool_calls": [call]})], tools=tools)
    assert names(events)[2:-2] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    (item,) = events[-2][1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", text)


@pytest.mark.parametrize(
    ("wish", "delta", "key"),
    [
        ({}, "reasoning_text.delta", "content"),
        ({"summary": "auto"}, "reasoning_summary_text.delta", "summary"),
    ],
)
def test_reasoning_is_told_as_text_or_where_wished_as_summary(wish, delta, key):
    events = spoken([chunk({"reasoning_content": "hm"}), chunk({"content": "a"})], reasoning=wish)
    assert delta in names(events)
    thought, said = events[-2][1]["response"]["output"]
    assert (thought["type"], [part["text"] for part in thought[key]]) == ("reasoning", ["hm"])
    assert said["content"][0]["text"] == "a"


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_cut_short_is_incomplete_and_says_why(finish, reason):
    events = spoken([chunk({"content": "a"}, finish=finish)])
    name, body = events[-2]
    assert name == "response.incomplete"
    assert body["response"]["incomplete_details"] == {"reason": reason}
    assert body["response"]["completed_at"] is None
    assert body["response"]["output"][0]["status"] == "incomplete"


def test_a_failure_raises_in_clients_and_leaves_a_failed_response():
    stream = Responses.stream(asked(), "req_x")
    stream.take(chunk({"content": "a"}))
    error, failed = parsed(stream.fail(BROKE))
    assert error[0] == "error"
    assert error[1]["error"]["message"] == "the engine failed"
    assert (failed[0], failed[1]["response"]["status"]) == ("response.failed", "failed")
    assert failed[1]["response"]["error"] == {
        "code": "server_error",
        "message": "the engine failed",
    }
    assert failed[1]["response"]["output"][0]["status"] == "incomplete"


def test_errors_before_the_first_event_are_openais():
    assert json.loads(ResponsesVoice.error_body(BROKE, "req_x"))["error"]["code"] == "upstream"
    event = ResponsesVoice.error_event(BROKE, "req_x")
    assert event.startswith(b"event: error\ndata: {")


def test_what_an_engine_should_not_answer_is_a_value_error():
    with pytest.raises(ValueError, match="no choice"):
        Responses.whole(asked(), b'{"choices":[]}', "req_x")
    with pytest.raises(ValueError, match=r"choices"):
        Responses.stream(asked(), "req_x").take(b'data: {"choices":3}\n\n')


def test_log_probabilities_come_with_their_text():
    likely = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    choice = {"delta": {"content": "a"}, "logprobs": {"content": [likely]}, "finish_reason": None}
    events = spoken([b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"])
    delta = next(body for name, body in events if name == "response.output_text.delta")
    assert delta["logprobs"] == [likely]
    assert events[-2][1]["response"]["output"][0]["content"][0]["logprobs"] == [likely]


TEXT = st.text(max_size=5)
FRAGMENT = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "function": st.fixed_dictionaries({"arguments": TEXT})}
)
DELTA = st.one_of(
    st.builds(lambda text: {"content": text}, TEXT),
    st.builds(lambda text: {"reasoning_content": text}, TEXT),
    st.builds(lambda text: {"refusal": text}, TEXT),
    st.builds(lambda each: {"tool_calls": each}, st.lists(FRAGMENT, min_size=1, max_size=3)),
)
STARTS = {"output_text", "refusal", "reasoning_text", "function_call_arguments"}


@given(deltas=st.lists(DELTA, max_size=12), cuts=st.sets(st.integers(0, 12)))
def test_any_stream_is_grammatical_and_adds_up_to_its_last_event(deltas, cuts):
    chunks = [chunk(delta) for delta in deltas]
    taken = [b""]
    for at, each in enumerate(chunks):
        if at in cuts:
            taken.append(b"")
        taken[-1] += each
    events = spoken(taken)
    assert names(events)[:2] == ["created", "in_progress"]
    assert names(events)[-2:] == ["completed", "[DONE]"]
    bodies = [body for _, body in events[:-1]]
    assert [body["sequence_number"] for body in bodies] == list(range(len(bodies)))
    opened, closed, texts = {}, {}, {}
    for body in bodies[2:-1]:
        at, kind = body["output_index"], body["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert at == len(opened)
            opened[at] = body["item"]["id"]
        elif kind == "output_item.done":
            assert at in opened
            assert at not in closed
            closed[at] = body["item"]
        else:
            assert body["item_id"] == opened[at]
            assert at not in closed
        base, _, what = kind.rpartition(".")
        if base in STARTS and what == "delta":
            texts[at] = texts.get(at, "") + body["delta"]
        elif base in STARTS:
            whole = next(body[key] for key in ("text", "refusal", "arguments") if key in body)
            assert whole == texts.get(at, "")
    assert [closed[at] for at in sorted(opened)] == bodies[-1]["response"]["output"]


def test_however_it_is_cut_a_whole_reply_says_the_same():
    deltas = [{"reasoning_content": "hm"}, {"content": "a"}, {"content": "b"}]
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    streamed = spoken([chunk(delta) for delta in [*deltas, {"tool_calls": calls}]])
    message = {"reasoning_content": "hm", "content": "ab", "tool_calls": calls}
    reply = json.dumps({"choices": [{"message": message}]}).encode()
    whole = json.loads(Responses.whole(asked(), reply, "req_x"))
    assert whole["output"] == streamed[-2][1]["response"]["output"]
