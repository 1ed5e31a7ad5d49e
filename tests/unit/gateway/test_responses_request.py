"""Requests for responses: what becomes of them as a chat, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.responses import ask
from littoral.gateway.dialect.responses.answer import Responses
from littoral.gateway.dialect.responses.tools import tools_of
from littoral.gateway.dialect.responses.wish import Tool, Wish
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import encode

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
PICTURE = "data:image/png;base64,AAAA"


def read(**fields):
    return ask.read(json.dumps({"model": "m", "input": "hi", **fields}).encode())


def sent(**fields):
    asked = read(**fields)
    assert isinstance(asked, Asked), asked
    return json.loads(encode(asked, "inner", 99))


def refused(**fields):
    found = read(**fields)
    assert isinstance(found, Refusal)
    assert found.status == 400
    return found


def test_a_text_is_the_users_message_and_instructions_come_before_it():
    body = sent(instructions="be brief", max_output_tokens=5, temperature=0.5)
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("inner", 99, 0.5)


def test_messages_keep_their_roles_texts_and_pictures():
    given_ = [
        {"role": "developer", "content": "one word"},
        {"type": "message", "role": "assistant", "phase": "commentary", "content": "well"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "what is it"},
                {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
            ],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "alone"}]},
    ]
    developer, assistant, user, alone = sent(input=given_)["messages"]
    assert developer == {"role": "developer", "content": "one word"}
    assert assistant == {"role": "assistant", "content": "well"}
    assert user["content"] == [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    assert alone["content"] == "alone"


def test_one_turn_of_the_assistant_is_one_message_with_its_thoughts_and_calls():
    given_ = [
        {"role": "user", "content": "and?"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x\ny"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "done"}],
        },
    ]
    _, turn, first, second = sent(input=given_)["messages"]
    assert (turn["role"], turn["content"], turn["reasoning_content"]) == (
        "assistant",
        "I look",
        "hm",
    )
    assert [call["function"] for call in turn["tool_calls"]] == [
        {"name": "weather", "arguments": '{"a":1}'},
        {"name": "patch", "arguments": '{"input":"x\\ny"}'},
    ]
    assert first == {"role": "tool", "content": "sun", "tool_call_id": "c1"}
    assert second == {"role": "tool", "content": "done", "tool_call_id": "c2"}


def test_tools_are_functions_and_free_text_tools_take_one_string():
    tools = [{**WEATHER, "strict": True, "description": "d"}, {"type": "custom", "name": "patch"}]
    body = sent(tools=tools, tool_choice={"type": "function", "name": "weather"})
    weather, patch = (tool["function"] for tool in body["tools"])
    assert weather == {
        "name": "weather",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
    }
    assert patch["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert sent(tools=tools, tool_choice="required")["tool_choice"] == "required"
    assert "tool_choice" not in sent(tool_choice="auto")


def test_allowed_tools_leave_only_those():
    tools = [WEATHER, {**WEATHER, "name": "other"}]
    named = [{"type": "function", "name": "other"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": named}
    body = sent(tools=tools, tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["other"]
    assert body["tool_choice"] == "required"


def test_formats_effort_and_log_probabilities_are_the_chats():
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    body = sent(
        text={"format": schema},
        reasoning={"effort": "low"},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    }
    assert (body["reasoning_effort"], body["logprobs"], body["top_logprobs"]) == ("low", True, 2)
    plain = sent(text={"format": {"type": "json_object"}}, top_logprobs=2)
    assert plain["response_format"] == {"type": "json_object"}
    assert "logprobs" not in plain
    assert "response_format" not in sent(text={"format": {"type": "text"}, "verbosity": "low"})


def test_what_has_no_effect_is_named():
    asked = read(truncation="auto", max_tool_calls=1, text={"verbosity": "low"}, client_metadata={})
    assert set(asked.ignored) == {
        "client_metadata",
        "truncation",
        "max_tool_calls",
        "text.verbosity",
    }


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function, custom"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type", "function_call_output"),
        ({"input": [{"id": "msg_1"}]}, "input[0].id", "previous_response_id"),
        ({"input": []}, "input", "at least one item"),
        ({"input": None}, "input", "missing"),
        ({"input": [{"role": "system", "content": "x"}]}, "input", "no message"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id", "missing"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
            "input_image",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0]",
            "image_url",
        ),
        ({"conversation": "conv_1"}, "conversation", "previous_response_id"),
        ({"prompt": {"id": "p"}}, "prompt", "instructions"),
        ({"background": True, "store": False}, "store", "store must be true"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp"}}, "tool_choice.type", "allowed_tools"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}},
            "tool_choice.name",
            "'weather'",
        ),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", "miss"),
        ({"temperature": 3}, "temperature", "2"),
        ({"metadata": {"k": 1}}, "metadata[...]", "str"),
        ({"model": ""}, "model", ">= 1"),
    ],
)
def test_what_cannot_be_served_is_refused_and_says_what_can(fields, param, word):
    refusal = refused(**fields)
    assert refusal.param == param
    assert word in refusal.message


def test_a_body_without_a_model_is_a_bad_request():
    refusal = ask.read(b'{"input":"hi"}')
    assert (refusal.status, refusal.param) == (400, "model")


TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1)
CALLS = st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, st.integers(), max_size=2)), max_size=3)


@given(thought=st.none() | TEXTS, said=st.none() | TEXTS, calls=CALLS)
def test_what_an_engine_said_comes_back_to_it_as_it_said_it(thought, said, calls):
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": said}
    message |= {"reasoning_content": thought} if thought else {}
    message |= {"tool_calls": made} if made else {}
    reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    output = json.loads(Responses.whole(read(), reply, "req_1"))["output"]
    heard = sent(input=[{"role": "user", "content": "hi"}, *output])["messages"][1:]
    assert heard == ([message] if thought or said or made else [])


SPACE = {"type": "namespace", "name": "agents", "description": "d", "tools": [WEATHER]}


def test_a_tool_of_a_namespace_is_called_by_both_names_and_comes_back_apart():
    asked = read(tools=[SPACE, WEATHER])
    body = json.loads(encode(asked, "inner", 99))
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert names == ["agents__weather", "weather"]
    call = {"id": "c", "function": {"name": "agents__weather", "arguments": "{}"}}
    reply = json.dumps({"choices": [{"message": {"tool_calls": [call]}}]}).encode()
    said = json.loads(Responses.whole(asked, reply, "req_1"))
    (item,) = said["output"]
    assert (item["namespace"], item["name"]) == ("agents", "weather")
    assert said["tools"][0]["tools"][0]["name"] == "weather"
    (_, turn) = sent(input=[{"role": "user", "content": "hi"}, item])["messages"]
    assert turn["tool_calls"][0]["function"]["name"] == "agents__weather"
    assert refused(tools=[{**SPACE, "name": None}]).param == "tools[0].name"


def test_a_search_that_agents_offer_unasked_is_left_out_and_named():
    asked = read(tools=[WEATHER, {"type": "web_search"}])
    assert asked.ignored == ["tools[1].web_search"]
    assert len(json.loads(encode(asked, "inner", 99))["tools"]) == 1
    assert refused(tools=[WEATHER, {"type": "file_search"}]).param == "tools[1].type"


def test_many_tools_are_looked_over_a_fixed_number_of_times():
    class Counted(list):
        looked = 0

        def __iter__(self):
            self.looked += 1
            return super().__iter__()

    inner = [Tool(type="custom", name=f"t{at}") for at in range(100)]
    tools = Counted([Tool(type="namespace", name="n", tools=inner)])
    found, _ = tools_of(Wish(model="m", input="hi", tools=tools))
    assert len(found) == 100
    assert tools.looked < 10
