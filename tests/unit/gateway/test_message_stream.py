"""Anthropic's streams: whatever an engine sends, in whatever pieces, is told in their grammar."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.gateway.dialect.anthropic import ask
from littoral.gateway.dialect.anthropic.say import TRANSLATION
from littoral.gateway.route import CHAT_FLOW
from littoral.gateway.wire.relay import Events

REQUEST = "req_1"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
USED = {
    "cache_creation",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "inference_geo",
    "input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
}
WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)


def read(**fields):
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return ask.read(json.dumps(body | fields).encode())


def sse(*events):
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def delta(finish=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def piece(index, text, **first):
    function = {"arguments": text} | ({"name": first.pop("name")} if "name" in first else {})
    return delta(tool_calls=[{"index": index, "function": function, **first}])


def frames(raw):
    """Events of a stream, each with the name of its ``event:`` line checked."""
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def streamed(raw, cuts=(), *, asked=None):
    """Send an engine's stream through, in pieces; the client's events."""
    asked = asked or read(stream=True, thinking={"type": "enabled", "budget_tokens": 5})
    events = Events(CHAT_FLOW, hold=False)
    stream = TRANSLATION.stream(asked, REQUEST)
    out, at = b"", 0
    for cut in [*sorted({min(cut, len(raw)) for cut in cuts} - {0}), len(raw)]:
        if cut > at:
            whole_events = events.take(raw[at:cut])
            out += stream.take(whole_events) if whole_events else b""
        at = max(at, cut)
    return frames(out + stream.end(events.usage()))


DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}


def blocks_of(events):
    """Read a stream as a client would, refusing what its grammar does not allow."""
    assert events[0]["type"] == "message_start"
    assert events[0]["message"]["content"] == []
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    blocks, is_open = [], False
    for event in events[1:-2]:
        match event["type"]:
            case "ping":
                continue
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(blocks)
                blocks.append((event["content_block"], []))
                is_open = True
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(blocks) - 1
                kind = DELTAS[blocks[-1][0]["type"]]
                assert event["delta"]["type"] == kind
                key = {"text_delta": "text", "thinking_delta": "thinking"}.get(kind, "partial_json")
                blocks[-1][1].append(event["delta"][key])
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(blocks) - 1
                is_open = False
            case other:
                pytest.fail(other)
    assert not is_open
    return [(block, "".join(pieces)) for block, pieces in blocks]


def test_a_stream_of_text_has_its_events_in_order():
    raw = sse(
        delta(role="assistant", content=None),
        delta(content="he"),
        delta(content="llo"),
        delta("stop"),
        {"choices": [], "usage": USAGE},
    )
    events = streamed(raw + b"data: [DONE]\n\n")
    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert set(events[0]["message"]["usage"]) == USED
    used = events[-2]["usage"]
    assert used["input_tokens"] + used["cache_read_input_tokens"] == 11
    assert (used["output_tokens"], used["output_tokens_details"]) == (7, {"thinking_tokens": 2})
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def test_pieces_of_two_calls_in_turns_become_two_blocks():
    raw = sse(
        piece(0, "", id="a", name="look"),
        piece(1, '{"b"', id="b", name="find"),
        piece(0, '{"a":'),
        piece(1, ":2}"),
        piece(0, "1}"),
        delta("tool_calls"),
    )
    events = streamed(raw)
    (one, first), (two, second) = blocks_of(events)
    assert (one["id"], one["name"], json.loads(first)) == ("a", "look", {"a": 1})
    assert (two["id"], two["name"], json.loads(second)) == ("b", "find", {"b": 2})
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_call_that_is_whole_makes_room_at_once():
    stream = TRANSLATION.stream(read(stream=True), REQUEST)
    stream.take(sse(piece(0, '{"a":1}', id="a", name="look")))
    said = stream.take(sse(piece(1, "{", id="b", name="look")))
    assert b"content_block_stop" in said
    assert b'"id":"b"' in said
    with pytest.raises(ValueError, match="goes on"):
        stream.take(sse(piece(0, "x")))


def test_engines_that_number_every_call_zero_are_told_apart_by_id():
    raw = sse(piece(0, "{}", id="a", name="look"), piece(0, "{}", id="b", name="look"))
    assert [block["id"] for block, _ in blocks_of(streamed(raw))] == ["a", "b"]


def test_an_engine_that_waits_is_heard_as_a_ping():
    stream = TRANSLATION.stream(read(stream=True), REQUEST)
    assert stream.take(b": wait\n\n") == b""
    stream.take(sse(delta(content="x")))
    assert frames(stream.take(b": wait\n\n")) == [{"type": "ping"}]


def test_an_error_within_a_stream_is_the_engines_fault():
    stream = TRANSLATION.stream(read(stream=True), REQUEST)
    with pytest.raises(ValueError, match="out of memory"):
        stream.take(sse({"error": {"message": "out of memory"}}))


def test_a_call_without_a_name_is_the_engines_fault():
    stream = TRANSLATION.stream(read(stream=True), REQUEST)
    stream.take(sse(piece(0, "{}", id="a")))
    with pytest.raises(ValueError, match="without a name"):
        stream.end(None)


def test_an_empty_stream_is_an_empty_message():
    assert blocks_of(streamed(b"data: [DONE]\n\n")) == []


PIECES = st.one_of(
    st.tuples(st.sampled_from(["content", "reasoning_content", "refusal"]), WORDS),
    st.tuples(st.just("call"), st.integers(0, 3)),
)


@st.composite
def answers(draw):
    """An engine's stream, and what it says: texts by kind, and the arguments of each call."""
    said = {"text": "", "thinking": ""}
    arguments, events, left = {}, [delta(role="assistant", content=None)], {}
    for kind, value in draw(st.lists(PIECES, max_size=12)):
        if kind != "call":
            said["thinking" if kind == "reasoning_content" else "text"] += value
            events.append(delta(**{kind: value}))
        elif value not in arguments:
            text = json.dumps({"v": draw(WORDS)}, ensure_ascii=draw(st.booleans()))
            arguments[value] = text
            cut = draw(st.integers(0, len(text)))
            events.append(piece(value, text[:cut], id=f"c{value}", name="look"))
            left[value] = text[cut:]
        elif left[value]:
            cut = draw(st.integers(1, len(left[value])))
            events.append(piece(value, left[value][:cut]))
            left[value] = left[value][cut:]
    events += [piece(value, text) for value, text in left.items() if text]
    events += [delta(draw(st.sampled_from(["stop", "length"]))), {"choices": [], "usage": USAGE}]
    return sse(*events) + b"data: [DONE]\n\n", said, arguments


@settings(max_examples=150, deadline=None)
@given(answers(), st.lists(st.integers(0, 3000), max_size=8))
def test_any_stream_in_any_pieces_is_told_whole_once_and_in_grammar(answer, cuts):
    raw, said, arguments = answer
    events = streamed(raw, cuts)
    heard = {"text": "", "thinking": ""}
    calls = {}
    for block, text in blocks_of(events):
        if block["type"] == "tool_use":
            calls[int(block["id"][1:])] = text
        else:
            heard[block["type"]] += text
    assert heard == said
    assert calls == arguments
    used = events[-2]["usage"]
    assert (used["input_tokens"], used["cache_read_input_tokens"], used["output_tokens"]) == (
        7,
        4,
        7,
    )
