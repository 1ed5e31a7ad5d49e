"""ollama, unmodified."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import ollama
from cases import KEY, MODEL, URL, Cases, expect

case = Cases()
client = ollama.Client(host=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
HELLO = [{"role": "user", "content": "hello there"}]


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name.
    """
    return f"fair in {city}"


@case
def chat():
    found = client.chat(MODEL, HELLO, options={"temperature": 0, "num_predict": 64})
    expect(found.message.role == "assistant", found.message.role)
    expect(found.message.content, "no text")
    expect(found.done and found.done_reason in {"stop", "length"}, found.done_reason)
    expect(found.eval_count > 0 and found.prompt_eval_count > 0, "no counts")
    expect(found.total_duration > 0, "no duration")


@case
def chat_streamed():
    parts = list(client.chat(MODEL, HELLO, stream=True))
    whole = client.chat(MODEL, HELLO)
    expect([part.done for part in parts] == [False] * (len(parts) - 1) + [True], "ends otherwise")
    text = "".join(part.message.content for part in parts)
    expect(text == whole.message.content, "the pieces are not the whole")
    expect(parts[-1].eval_count == whole.eval_count, "counts differ")


@case
def generate():
    found = client.generate(MODEL, "hello there", system="be brief")
    expect(found.response, "no text")
    parts = list(client.generate(MODEL, "hello there", stream=True))
    expect("".join(part.response for part in parts), "no text in the stream")


@case
def a_tool_is_used():
    first = client.chat(MODEL, HELLO, tools=[weather])
    call = first.message.tool_calls[0]
    expect(call.function.name == "weather", call)
    result = weather(**call.function.arguments)
    turns = [*HELLO, first.message, {"role": "tool", "tool_name": "weather", "content": result}]
    expect(client.chat(MODEL, turns, tools=[weather]).message.content, "no answer")


@case
def a_tool_is_used_in_a_stream():
    parts = list(client.chat(MODEL, HELLO, tools=[weather], stream=True))
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    expect([call.function.name for call in calls] == ["weather"], calls)


@case
def an_answer_by_a_schema():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    found = client.chat(MODEL, HELLO, format=schema)
    expect('"a"' in found.message.content, found.message.content)


@case
def models_are_listed_and_shown():
    expect(MODEL in [model.model for model in client.list().models], "not listed")
    expect(MODEL in [model.model for model in client.ps().models], "not running")
    expect("completion" in client.show(MODEL).capabilities, "cannot chat")


@case
def errors_have_their_status():
    for name, fields, status in (
        ("nope", {}, 404),
        (MODEL, {"options": {"temperature": 9}}, 400),
    ):
        try:
            client.chat(name, HELLO, **fields)
        except ollama.ResponseError as error:
            expect(error.status_code == status, error.status_code)
        else:
            raise AssertionError("nothing was raised")


sys.exit(case.run())
