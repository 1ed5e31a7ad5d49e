"""The fake engine's words: the same for the same request."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.engines.child.reply import Ask, Reply, answer, count_tokens, split_tokens, tokens_of


def ask(**fields) -> Reply:
    fields.setdefault("messages", [{"role": "user", "content": "hello there"}])
    body = msgspec.json.decode(json.dumps(fields).encode(), type=Ask)
    return answer(body, directives=True, default_tokens=1000)


def tool(name: str, **properties) -> dict:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


@given(st.text())
def test_pieces_are_the_text_and_as_many_as_its_tokens(text):
    pieces = split_tokens(text)
    assert "".join(pieces) == text
    assert len(pieces) == count_tokens(text)


def test_the_last_words_of_the_user_are_echoed():
    reply = ask()
    assert "".join(reply.pieces) == "echo: hello there"
    assert (reply.finish, reply.prompt_tokens, reply.completion_tokens) == ("stop", 3, 5)


def test_an_answer_over_its_limit_is_cut_and_says_length():
    reply = ask(max_tokens=2)
    assert (reply.pieces, reply.finish) == (("echo", ": he"), "length")


def test_an_answer_ends_before_the_first_stop_word():
    assert "".join(ask(stop=["there", "llo"]).pieces) == "echo: he"


def test_a_named_tool_is_called_with_the_smallest_arguments():
    tools = [tool("first", a={"type": "string"}), tool("second", b={"enum": ["x", "y"]})]
    choice = {"type": "function", "function": {"name": "second"}}
    assert ask(tools=tools).calls == (("first", '{"a": "foo"}'),)
    assert ask(tools=tools, tool_choice=choice).calls == (("second", '{"b": "x"}'),)
    assert ask(tools=tools, tool_choice="none").calls == ()


def test_tools_are_called_side_by_side_where_that_is_asked_for():
    tools = [tool("first"), tool("second")]
    reply = ask(tools=tools, parallel_tool_calls=True)
    assert [name for name, _ in reply.calls] == ["first", "second"]
    assert reply.completion_tokens == 2
    choice = {"type": "function", "function": {"name": "second"}}
    assert len(ask(tools=tools, parallel_tool_calls=True, tool_choice=choice).calls) == 1


def test_an_effort_of_reasoning_is_thought_that_counts():
    reply = ask(reasoning_effort="low")
    assert "".join(reply.thought) == "thinking about: hello there"
    assert reply.completion_tokens == len(reply.thought) + len(reply.pieces)
    assert ask(reasoning_effort="none").thought == ()
    short = ask(reasoning_effort="low", max_tokens=3)
    assert (len(short.thought), short.pieces, short.finish) == (3, (), "length")


def test_a_prompt_of_tokens_is_the_text_that_they_stand_for():
    tokens = tokens_of("hello")
    assert "".join(ask(messages=None, prompt=tokens).pieces) == "echo: hello"
    assert "".join(ask(messages=None, prompt=[tokens, tokens]).pieces) == "echo: hello hello"


def test_a_tools_result_is_answered_in_words():
    messages = [{"role": "user", "content": "hi"}, {"role": "tool", "content": "42"}]
    assert ask(messages=messages, tools=[tool("first")]).calls == ()


def test_a_schema_shapes_the_answer():
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}, "n": {"type": "integer", "minimum": 7}},
        "required": ["node", "n"],
        "$defs": {"node": {"anyOf": [{"type": "array", "items": {"const": None}}]}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads("".join(ask(response_format=shape).pieces)) == {"node": [None], "n": 7}
    assert "".join(ask(response_format={"type": "json_object"}).pieces) == '{"a": 1}'


def test_a_schema_that_refers_to_itself_ends():
    schema = {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert "null" in "".join(ask(response_format=shape).pieces)


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ("[[status=503]]", "status", 503),
        ("[[fail=before]]", "before", True),
        ("[[fail=after:5]]", "after", 5),
        ("[[hang]]", "hang", True),
        ("[[reset]]", "reset", True),
        ("[[slow=200]]", "slow_ms", 200),
        ("[[len=128]]", "length", 128),
    ],
)
def test_directives_are_read_and_left_out_of_the_echo(said, field, value):
    reply = ask(messages=[{"role": "user", "content": f"hi {said}"}])
    assert getattr(reply.faults, field) == value
    assert "[[" not in "".join(reply.pieces)


def test_len_gives_that_many_tokens():
    reply = ask(messages=[{"role": "user", "content": "hi [[len=128]]"}])
    assert reply.completion_tokens == 128


def test_images_are_counted():
    content = [{"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert ask(messages=[{"role": "user", "content": content}]).prompt_tokens == 65
