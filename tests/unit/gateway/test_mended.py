"""Engines that speak the API in part: what leaves has its whole shape, and no text is changed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.gateway import request
from littoral.gateway.dialect.mended.chat import MENDED_CHAT
from littoral.gateway.dialect.mended.text import MENDED_TEXT
from littoral.gateway.route import CHAT_FLOW
from littoral.gateway.wire.relay import Events

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5}
FULL = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)


def asked(*, wants_usage=True, chat=True):
    body = CHAT | {"stream": True, "stream_options": {"include_usage": wants_usage}}
    if not chat:
        body = {"model": "m", "prompt": "p", "stream": True}
    read = request.read_chat if chat else request.read_completion
    found = read(json.dumps(body).encode())
    found.began_s = 77
    return found


def whole(choice, *, usage=USAGE, **more):
    data = json.dumps({"choices": [choice], "usage": usage, "id": "x", **more}).encode()
    return json.loads(MENDED_CHAT.whole(asked(), data, "req_1"))


def test_a_whole_answer_gets_what_was_left_out_and_loses_what_was_added():
    found = whole(
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
        model="inner",
        timings={"prompt_ms": 1.0},
    )
    assert found == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 77,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "a",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": FULL,
    }
    assert "usage" not in whole({"message": {"content": "a"}}, usage=None)


def test_calls_get_ids_types_and_their_reason():
    calls = [
        {"function": {"name": "f"}},
        {"id": "c2", "function": {"name": "g", "arguments": "{}"}},
    ]
    found = whole({"message": {"content": "", "tool_calls": calls}, "finish_reason": "stop"})
    choice = found["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    one, two = choice["message"]["tool_calls"]
    assert one["id"] == "call_req_1_0_0"
    assert one["function"] == {"name": "f", "arguments": "{}"}
    assert (two["id"], two["type"]) == ("c2", "function")


def test_an_empty_list_of_calls_is_none_and_a_missing_reason_is_stop():
    choice = whole({"message": {"content": "a", "tool_calls": []}})["choices"][0]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"


def test_reasoning_and_certainty_are_kept():
    certain = {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]}
    choice = whole(
        {
            "message": {"content": "a", "reasoning_content": "r"},
            "logprobs": certain,
            "finish_reason": "length",
        }
    )["choices"][0]
    assert choice["message"]["reasoning_content"] == "r"
    assert choice["logprobs"] == certain
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"choices":[{}]}'])
def test_what_is_no_answer_is_the_engines_fault(data):
    with pytest.raises(ValueError, match=r"choice|array|object"):
        MENDED_CHAT.whole(asked(), data, "req_1")


def sse(*events):
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def piece(index=0, finish=None, **fields):
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def streamed(raw, cuts=(), *, wants_usage=True, mender=MENDED_CHAT, chat=True):
    events = Events(CHAT_FLOW, hold=False)
    stream = mender.stream(asked(wants_usage=wants_usage, chat=chat), "req_1")
    out, at = b"", 0
    for cut in [*sorted({min(cut, len(raw)) for cut in cuts} - {0}), len(raw)]:
        if cut > at:
            whole_events = events.take(raw[at:cut])
            out += stream.take(whole_events) if whole_events else b""
        at = max(at, cut)
    out += stream.end(events.usage())
    assert out.endswith(b"data: [DONE]\n\n")
    assert out.count(b"[DONE]") == 1
    return [json.loads(frame[6:]) for frame in out.split(b"\n\n")[:-2]]


DONE = b"data: [DONE]\n\n"


def test_a_stream_begins_with_a_role_and_ends_with_usage_in_an_event_of_its_own():
    raw = sse(
        piece(role="assistant", content=None),
        piece(content="a"),
        piece(finish="stop") | {"usage": USAGE, "timings": {}},
    )
    first, second, last, usage = streamed(raw + DONE)
    assert first == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 77,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        "usage": None,
    }
    assert second["choices"][0]["delta"] == {"content": "a"}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]) == ([], FULL)


def test_who_did_not_ask_for_usage_gets_no_such_field():
    raw = sse(piece(content="a"), piece(finish="stop"), {"choices": [], "usage": USAGE})
    assert all("usage" not in event for event in streamed(raw + DONE, wants_usage=False))


def test_a_choice_without_an_end_gets_one_and_nothing_follows_an_end():
    last = streamed(sse(piece(content="a")) + DONE)[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    raw = sse(piece(content="a"), piece(finish="stop"), piece(finish="stop"))
    ends = [e for e in streamed(raw) if e["choices"] and e["choices"][0]["finish_reason"]]
    assert len(ends) == 1


def test_calls_are_named_once_and_end_with_their_reason():
    raw = sse(
        piece(tool_calls=[{"function": {"name": "f", "arguments": ""}}]),
        piece(tool_calls=[{"index": 0, "id": "", "function": {"name": "f", "arguments": "{}"}}]),
        piece(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g"}}]),
        piece(finish="stop"),
    )
    first, second, third, last, *_ = streamed(raw)
    call = first["choices"][0]["delta"]["tool_calls"][0]
    assert call["function"] == {"name": "f", "arguments": ""}
    assert (call["index"], call["type"], call["id"]) == (0, "function", "call_req_1_0_0")
    assert second["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "function": {"arguments": "{}"}}
    ]
    assert third["choices"][0]["delta"]["tool_calls"][0]["id"] == "b"
    assert last["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("mender", [MENDED_CHAT, MENDED_TEXT])
def test_an_error_within_a_stream_is_the_engines_fault(mender):
    stream = mender.stream(asked(), "req_1")
    with pytest.raises(ValueError, match="out of memory"):
        stream.take(sse({"choices": [], "error": {"message": "out of memory"}}))


@st.composite
def answers(draw):
    """A stream of several choices, and the text of each."""
    count = draw(st.integers(1, 3))
    said, events = dict.fromkeys(range(count), ""), []
    for index, word in draw(st.lists(st.tuples(st.integers(0, count - 1), WORDS), max_size=12)):
        said[index] += word
        role = {"role": "assistant"} if draw(st.booleans()) else {}
        usage = {"usage": draw(st.sampled_from([None, USAGE]))}
        events.append(piece(index, content=word, **role) | usage)
    events += [piece(index, "stop") for index in range(count)]
    events.append({"choices": [], "usage": USAGE})
    return sse(*events) + (DONE if draw(st.booleans()) else b""), said


@settings(max_examples=150, deadline=None)
@given(answers(), st.lists(st.integers(0, 3000), max_size=8), st.booleans())
def test_any_stream_in_any_pieces_keeps_its_text_and_gets_its_shape(answer, cuts, wants_usage):
    raw, said = answer
    heard, begun, ended = dict.fromkeys(said, ""), set(), set()
    events = streamed(raw, cuts, wants_usage=wants_usage)
    if wants_usage:
        assert events.pop()["usage"] == FULL
    for event in events:
        assert set(event) - {"usage"} == {"id", "object", "created", "model", "choices"}
        assert event.get("usage") is None
        for choice in event["choices"]:
            assert set(choice) == {"index", "delta", "logprobs", "finish_reason"}
            index = choice["index"]
            assert index not in ended
            assert ("role" in choice["delta"]) == (index not in begun)
            begun.add(index)
            heard[index] += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                ended.add(index)
    assert heard == said
    assert ended == set(said)


LIKELY = {"token": "b", "logprob": -2.0}


def test_a_completion_gets_its_shape_and_log_probabilities_their_own():
    certain = {"content": [{"token": "ab", "logprob": -1.0, "top_logprobs": [LIKELY]}] * 2}
    choice = {"index": 0, "text": "abab", "logprobs": certain, "finish_reason": None}
    data = json.dumps({"choices": [choice], "usage": USAGE, "timings": {}}).encode()
    found = json.loads(MENDED_TEXT.whole(asked(chat=False), data, "req_1"))
    assert set(found) == {"id", "object", "created", "model", "choices", "usage"}
    assert (found["id"], found["object"], found["usage"]) == ("cmpl-1", "text_completion", FULL)
    assert found["choices"] == [
        {
            "text": "abab",
            "index": 0,
            "logprobs": {
                "tokens": ["ab", "ab"],
                "token_logprobs": [-1.0, -1.0],
                "top_logprobs": [{"b": -2.0}, {"b": -2.0}],
                "text_offset": [0, 2],
            },
            "finish_reason": "stop",
        }
    ]


def test_a_streamed_completion_counts_its_offsets_on_and_has_no_usage_within():
    certain = {"content": [{"token": "ab", "logprob": -1.0, "top_logprobs": []}]}
    events = [
        {"choices": [{"text": "ab", "index": 0, "logprobs": certain}]},
        {"choices": [{"text": "ab", "index": 0, "logprobs": certain}], "usage": USAGE},
    ]
    found = streamed(sse(*events) + DONE, mender=MENDED_TEXT, chat=False)
    offsets = [e["choices"][0]["logprobs"]["text_offset"] for e in found[:2]]
    assert offsets == [[0], [2]]
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in event for event in found)
