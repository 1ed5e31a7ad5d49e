"""Anthropic's messages on the way to an engine and back: nothing lost, nothing said twice."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.anthropic import ask
from littoral.gateway.dialect.anthropic.say import TRANSLATION
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import encode

REQUEST = "req_1"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
BASE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def read(**fields):
    return ask.read(json.dumps(BASE | fields).encode())


def engine_body(**fields):
    asked = read(**fields)
    assert isinstance(asked, Asked), asked
    return json.loads(encode(asked, "inner", asked.cap))


def refused(**fields):
    found = read(**fields)
    assert isinstance(found, Refusal), found
    return found


# requests


def test_a_plain_question_becomes_a_chat():
    body = engine_body(
        system="be brief",
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        metadata={"user_id": "u"},
    )
    assert body == {
        "model": "inner",
        "max_tokens": 9,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
    }


def test_what_has_no_effect_is_named():
    assert read(metadata={"user_id": "u"}, service_tier="auto").ignored == [
        "metadata",
        "service_tier",
    ]


def test_tools_calls_and_their_results_become_those_of_a_chat():
    body = engine_body(
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        messages=[
            {"role": "user", "content": "look twice"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "é"}},
                    {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "and now?"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [
                            {"type": "text", "text": "a"},
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "AA==",
                                },
                            },
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
                ],
            },
        ],
    )
    assert body["tools"][0]["function"] == {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object"},
    }
    assert body["tool_choice"] == "required"
    assert body["parallel_tool_calls"] is False
    _, answer, first, second, user = body["messages"]
    assert answer["content"] == "I look."
    assert answer["reasoning_content"] == "hm"
    assert [json.loads(c["function"]["arguments"]) for c in answer["tool_calls"]] == [
        {"at": "é"},
        {},
    ]
    assert (first["role"], first["tool_call_id"], first["content"]) == ("tool", "t1", "a")
    assert (second["tool_call_id"], second["content"]) == ("t2", "error")
    kinds = {part["type"] for part in user["content"]}
    assert kinds == {"text", "image_url"}
    assert "data:image/png;base64,AA==" in json.dumps(user)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_the_choice_of_a_tool_is_kept(choice, expected):
    assert engine_body(tools=[TOOL], tool_choice=choice)["tool_choice"] == expected


def test_thinking_effort_and_form_reach_the_engine():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    body = engine_body(
        thinking={"type": "disabled"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}},
    )
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["reasoning_effort"] == "low"
    assert body["response_format"]["json_schema"]["schema"] == schema


def test_documents_and_search_results_are_their_text():
    blocks = [
        {
            "type": "document",
            "title": "T",
            "source": {"type": "text", "media_type": "text/plain", "data": "D"},
        },
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "C"}]},
        },
        {
            "type": "search_result",
            "source": "S",
            "title": "U",
            "content": [{"type": "text", "text": "R"}],
        },
    ]
    body = engine_body(messages=[{"role": "user", "content": blocks}])
    assert [part["text"] for part in body["messages"][0]["content"]] == [
        "T",
        "D",
        "C",
        "U\n\nS\n\nR",
    ]


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"max_tokens": 0}, "max_tokens", ">= 1"),
        ({"messages": []}, "messages", "length"),
        ({"temperature": 1.5}, "temperature", "<= 1"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0].type",
            "custom",
        ),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema", "input_schema"),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]},
            "messages[0].content[0]",
            "thinking",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_result", "tool_use_id": "x"}],
                    }
                ]
            },
            "messages[0].content[0]",
            "tool_result",
        ),
        (
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "tool_result", "tool_use_id": "x"}],
                    }
                ]
            },
            "messages[0].content[0]",
            "system",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "server_x"}]}]}, None, "server_x"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields, param, word):
    refusal = refused(**fields)
    assert refusal.status == 400
    assert word in refusal.message
    if param is not None:
        assert refusal.param == param


def test_turns_of_a_user_that_follow_each_other_are_one():
    picture = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [picture]},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    first, second, third = engine_body(messages=turns)["messages"]
    assert [part["type"] for part in first["content"]] == ["text", "image_url", "text"]
    assert (second["content"], third["content"]) == ("c", "d")


WORDS = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=9
)


@st.composite
def conversations(draw):
    """Turns whose every text is a word of its own, and those words in order."""
    turns, count = [], 0

    def word():
        nonlocal count
        count += 1
        return f"w{count}w" + draw(WORDS)

    said = []
    for number in range(draw(st.integers(1, 4))):
        blocks = []
        for _ in range(draw(st.integers(1, 3))):
            said.append(word())
            blocks.append({"type": "text", "text": said[-1]})
        role = "assistant" if number % 2 else "user"
        if role == "assistant" and draw(st.booleans()):
            said.append(word())
            value = {"v": said[-1]}
            blocks.append({"type": "tool_use", "id": f"t{number}", "name": "look", "input": value})
        turns.append({"role": role, "content": blocks})
    return turns, said


def texts(value):
    """Every text of a chat's messages, in order, arguments of calls decoded."""
    if isinstance(value, str):
        return [value]
    return [each["text"] for each in value or ()]


@given(conversations())
def test_no_text_of_a_request_is_lost_or_doubled(conversation):
    turns, said = conversation
    heard = []
    for message in engine_body(messages=turns)["messages"]:
        heard += texts(message["content"])
        for call in message.get("tool_calls", ()):
            heard.append(json.loads(call["function"]["arguments"])["v"])
    assert "".join(heard) == "".join(said)


# whole answers


def whole(message, *, finish="stop", usage=USAGE, stop_reason=None, **fields):
    choice = {"index": 0, "message": message, "finish_reason": finish, "stop_reason": stop_reason}
    data = json.dumps({"choices": [choice], "usage": usage}).encode()
    return json.loads(TRANSLATION.whole(read(**fields), data, REQUEST))


NULLABLE = {"stop_sequence", "stop_details", "container"}
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


def test_a_whole_answer_has_every_field_that_strict_clients_ask_for():
    found = whole({"role": "assistant", "content": "hello"})
    assert set(found) == NULLABLE | {
        "id",
        "type",
        "role",
        "content",
        "model",
        "stop_reason",
        "usage",
    }
    assert (found["id"], found["model"], found["stop_reason"]) == ("msg_1", "m", "end_turn")
    assert found["content"] == [{"type": "text", "text": "hello", "citations": None}]
    assert set(found["usage"]) == USED
    assert found["usage"]["input_tokens"] + found["usage"]["cache_read_input_tokens"] == 11
    assert found["usage"]["output_tokens"] == 7
    assert found["usage"]["output_tokens_details"] == {"thinking_tokens": 2}


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "tool_use"),
    ],
)
def test_the_reason_to_stop_is_told_in_anthropics_words(finish, reason):
    assert whole({"content": "x"}, finish=finish)["stop_reason"] == reason


def test_the_sequence_that_ended_it_is_named_where_the_engine_names_it():
    found = whole({"content": "x"}, stop_reason="END", stop_sequences=["END"])
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")
    assert whole({"content": "x"}, stop_reason="END")["stop_reason"] == "end_turn"


def test_calls_become_blocks_with_decoded_arguments():
    calls = [
        {"id": "c1", "function": {"name": "look", "arguments": '{"a": 1}'}},
        {"function": {"name": "look", "arguments": ""}},
    ]
    found = whole({"content": None, "tool_calls": calls}, finish="stop")
    assert found["stop_reason"] == "tool_use"
    assert [block["input"] for block in found["content"]] == [{"a": 1}, {}]
    assert found["content"][0]["id"] == "c1"
    assert found["content"][0]["caller"] == {"type": "direct"}
    assert found["content"][1]["id"].startswith("toolu_")


def test_arguments_that_were_cut_off_are_none_and_broken_ones_are_the_engines_fault():
    calls = [{"id": "c", "function": {"name": "look", "arguments": '{"a": '}}]
    assert whole({"tool_calls": calls}, finish="length")["content"][0]["input"] == {}
    with pytest.raises(ValueError, match="no JSON object"):
        whole({"tool_calls": calls})
    with pytest.raises(ValueError, match="without a name"):
        whole({"tool_calls": [{"id": "c"}]})


def test_reasoning_is_shown_to_who_asked_for_it_only():
    message = {"content": "x", "reasoning_content": "because"}
    assert [b["type"] for b in whole(message)["content"]] == ["text"]
    shown = whole(message, thinking={"type": "enabled", "budget_tokens": 5})["content"]
    assert shown[0] == {"type": "thinking", "thinking": "because", "signature": ""}
    hidden = whole(message, thinking={"type": "adaptive", "display": "omitted"})["content"]
    assert hidden[0]["thinking"] == ""


def test_a_refusal_is_text_and_the_reason_to_stop():
    found = whole({"content": None, "refusal": "no"})
    assert (found["content"][0]["text"], found["stop_reason"]) == ("no", "refusal")


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"choices":[{}]}', b"\xff"])
def test_what_is_no_answer_is_the_engines_fault(data):
    with pytest.raises(ValueError, match=r"JSON|choice|Expected|UTF|utf"):
        TRANSLATION.whole(read(), data, REQUEST)
