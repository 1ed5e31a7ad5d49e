"""Bodies: what is read, what is refused, what an engine receives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway import request
from littoral.gateway.asked import DEFAULT_CAP, cap_of
from littoral.gateway.body import too_deep
from littoral.gateway.refusal import Refusal
from littoral.placement.filters import capability_mask

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read(body, *, chat=True):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request.read_chat(data) if chat else request.read_completion(data)


def sent(body, *, chat=True, cap=9):
    asked = read(body, chat=chat)
    assert not isinstance(asked, Refusal), asked
    return json.loads(request.encode(asked, "inner", cap))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody"}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls[0]"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 129}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"logit_bias": {"1": "x"}}, "logit_bias[...]"),
    ],
)
def test_a_wrong_field_is_named(change, param):
    refusal = read({**CHAT, **change})
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, param)


def test_a_missing_field_is_named():
    assert read({"model": "m"}).param == "messages"
    assert read({"model": "m"}, chat=False).param == "prompt"


@pytest.mark.parametrize(
    "body",
    [
        b"{nope",
        b"",
        b"[]",
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 100000 + b"}",
        b'{"model":"m","tools":['
        + b'{"a":' * 70
        + b"1"
        + b"}" * 70
        + b'],"messages":[{"role":"user"}]}',
    ],
)
def test_damage_is_a_400(body):
    assert read(body).status == 400


def test_depth_is_counted_outside_strings():
    assert not too_deep(b'{"a":"' + b"[" * 99 + b'"}')
    assert not too_deep(b"[" * 64 + b"]" * 64)
    assert too_deep(b"[" * 65 + b"]" * 65)
    assert not too_deep(b'{"a":[{"b":["\\"[["]},{}]}' * 1)


def test_of_a_duplicate_key_the_value_that_was_checked_is_sent():
    body = b'{"model":"a","mod\\u0065l":"b","messages":[{"role":"user","content":"x"}]}'
    asked = read(body)
    assert asked.body.model == "b"
    assert request.encode(asked, "inner", 1).count(b'"model"') == 1


def test_unknown_fields_are_dropped_and_named_at_both_levels():
    body = {**CHAT, "api_base": "http://evil", "zz": None}
    body["messages"] = [{"role": "user", "content": "hi", "odd": 1}]
    asked = read(body)
    assert list(asked.ignored) == ["api_base", "zz", "messages[].odd"]
    assert set(sent(body)) == {"model", "messages", "max_tokens"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_may_not_be_left_out_silently_is_refused(field, value):
    refusal = read({**CHAT, field: value})
    assert (refusal.status, refusal.param) == (400, field)


def test_what_changes_nothing_of_the_answer_is_left_out_and_named():
    fields = {"modalities": ["text"], "functions": None, "prediction": {"type": "content"}}
    fields |= {"store": True, "metadata": {"a": "b"}, "web_search_options": {}, "user": "u"}
    assert list(read({**CHAT, **fields}).ignored) == list(fields)


@pytest.mark.parametrize(
    ("fields", "capability"),
    [({"grammar": "root ::= [0-9]"}, "grammar"), ({"lora": [{"id": 0, "scale": 0.5}]}, "lora")],
)
def test_a_grammar_and_adapters_go_to_engines_that_have_them(fields, capability):
    asked = read({**CHAT, **fields})
    assert asked.needs == request.CHAT | capability_mask((capability,))
    assert sent({**CHAT, **fields}).items() >= fields.items()
    assert read({**CHAT, "lora": []}).needs == request.CHAT


def test_a_stream_always_asks_for_usage():
    body = {**CHAT, "stream": True}
    assert not read(body).wants_usage
    assert sent(body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_cap_is_sent_in_the_field_that_was_used(field):
    assert sent({**CHAT, field: 50})[field] == 9
    assert sent(CHAT)["max_tokens"] == 9


@pytest.mark.parametrize(
    ("wish", "most", "context", "cap"),
    [
        (50, None, 0, 50),
        (50, 20, 0, 20),
        (10, 20, 0, 10),
        (None, 20, 100, 20),
        (None, None, 100, 90),
        (None, None, 12, 3),
        (None, None, 0, DEFAULT_CAP),
    ],
)
def test_caps(wish, most, context, cap):
    asked = read({**CHAT, "max_tokens": wish})
    assert cap_of(asked.cap, most=most, context=context, tokens_in=10) == cap


def test_needs_follow_the_body():
    plain = read(CHAT).needs
    for change in (
        {"stream": True},
        {"n": 2},
        {"logprobs": True},
        {"tools": [{"type": "function"}]},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
    ):
        assert read({**CHAT, **change}).needs > plain
    for prompt in ("a", ["a"], [1, 2], [[1, 2]]):
        assert read({"model": "m", "prompt": prompt}, chat=False).needs == request.COMPLETIONS


@pytest.mark.parametrize("prompt", [["a", "b"], [[1, 2], [3]]])
def test_several_prompts_need_several_choices(prompt):
    several = read({"model": "m", "prompt": "a", "n": 2}, chat=False).needs
    assert read({"model": "m", "prompt": prompt}, chat=False).needs == several


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    content=st.text(max_size=40) | st.lists(st.fixed_dictionaries({"text": st.text()}), max_size=3),
    extra=st.dictionaries(st.text(max_size=6), JSON, max_size=3),
    stop=st.none() | st.text(max_size=4) | st.lists(st.text(max_size=4), max_size=4),
)
def test_what_was_read_is_what_is_sent(content, extra, stop):
    body = {**extra, "model": "m", "messages": [{"role": "user", "content": content}], "stop": stop}
    asked = read(body)
    if isinstance(asked, Refusal):
        assert asked.status == 400
        return
    out = json.loads(request.encode(asked, "inner", 1))
    assert out["messages"] == body["messages"]
    assert out.get("stop") == stop
    assert out["model"] == "inner"
