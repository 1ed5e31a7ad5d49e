"""anthropic, unmodified."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import anthropic
from cases import KEY, MODEL, URL, Cases, expect

case = Cases()
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@case
def message():
    found = client.messages.create(model=MODEL, max_tokens=64, messages=HELLO, system="be brief")
    expect(found.type == "message", found.type)
    expect(found.content[0].text, "no text")
    expect(found.stop_reason in {"end_turn", "max_tokens"}, found.stop_reason)
    expect(found.usage.output_tokens > 0, "no usage")


@case
def message_cut_by_its_cap():
    found = client.messages.create(model=MODEL, max_tokens=1, messages=HELLO)
    expect(found.stop_reason == "max_tokens", found.stop_reason)


@case
def message_streamed():
    with client.messages.stream(model=MODEL, max_tokens=64, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    expect(text and last.content[0].text == text, "the pieces are not the whole")
    expect(last.usage.output_tokens > 0, "no usage")


@case
def events_come_in_order():
    events = [
        event.type
        for event in client.messages.create(model=MODEL, max_tokens=64, messages=HELLO, stream=True)
    ]
    expect(events[0] == "message_start" and events[-1] == "message_stop", events)
    expect("content_block_delta" in events and "message_delta" in events, events)


@case
def a_tool_is_used():
    found = client.messages.create(model=MODEL, max_tokens=256, messages=HELLO, tools=[WEATHER])
    call = next(block for block in found.content if block.type == "tool_use")
    expect(found.stop_reason == "tool_use" and "city" in call.input, found)
    told = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}],
        },
    ]
    last = client.messages.create(model=MODEL, max_tokens=256, messages=told, tools=[WEATHER])
    expect(last.content[0].text, "no answer after the tool's result")


@case
def a_tool_is_used_in_a_stream():
    with client.messages.stream(
        model=MODEL, max_tokens=256, messages=HELLO, tools=[WEATHER]
    ) as stream:
        call = next(b for b in stream.get_final_message().content if b.type == "tool_use")
    expect("city" in call.input, call)


@case
def tokens_are_counted():
    found = client.messages.count_tokens(model=MODEL, messages=HELLO)
    expect(found.input_tokens > 0, found)


@case
def models_are_listed():
    names = [model.id for model in client.models.list()]
    expect(MODEL in names, names)


@case
def errors_have_their_own_types():
    for kind, change in (
        (anthropic.NotFoundError, {"model": "no-such-model"}),
        (anthropic.BadRequestError, {"max_tokens": -1}),
    ):
        try:
            client.messages.create(**{"model": MODEL, "max_tokens": 8, "messages": HELLO, **change})
        except kind as error:
            expect(error.body["type"] == "error", error.body)
        else:
            raise AssertionError(f"{change} was taken")
    try:
        client.with_options(api_key="wrong").messages.create(
            model=MODEL, max_tokens=8, messages=HELLO
        )
    except anthropic.AuthenticationError:
        return
    raise AssertionError("a wrong key was taken")


sys.exit(case.run())
