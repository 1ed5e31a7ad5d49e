"""openai-python, unmodified, over every endpoint it has a method for."""

import io
import json
import pathlib
import sys
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import openai
from cases import KEY, MODEL, URL, Cases, expect
from pydantic import BaseModel

case = Cases()
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
ENDED = {"completed", "incomplete"}
HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Fact(BaseModel):
    city: str
    people: int


def sound(seconds=0.5):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"\0\0" * int(16_000 * seconds))
    return ("speech.wav", file.getvalue(), "audio/wav")


@case
def models_are_listed():
    names = [model.id for model in client.models.list()]
    expect(MODEL in names, f"{MODEL} is not among {names}")


@case
def one_model_is_shown():
    expect(client.models.retrieve(MODEL).id == MODEL, "another model")


@case
def chat():
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=32)
    expect(answer.choices[0].message.content, "no content")
    expect(answer.choices[0].finish_reason in {"stop", "length"}, answer.choices[0].finish_reason)
    expect(
        answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens,
        "sums",
    )


@case
def chat_streamed_with_usage():
    stream = client.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=32,
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    expect(text, "no text")
    expect(chunks[-1].usage.completion_tokens > 0, "no usage at the end")
    expect(all(chunk.usage is None for chunk in chunks[:-1]), "usage before the end")


@case
def chat_streamed_without_usage():
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, max_tokens=9)
    )
    expect(all(chunk.choices for chunk in chunks), "a chunk without choices that nobody asked for")
    expect(chunks[0].choices[0].delta.role == "assistant", "the first delta has no role")


@case
def chat_with_a_tool():
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER])
    call = answer.choices[0].message.tool_calls[0]
    expect(answer.choices[0].finish_reason == "tool_calls", "finish_reason")
    expect("city" in json.loads(call.function.arguments), "arguments")
    told = [
        *HELLO,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    last = client.chat.completions.create(model=MODEL, messages=told, tools=[WEATHER])
    expect(last.choices[0].message.content, "no answer after the tool's result")


@case
def chat_with_a_tool_streamed():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    expect("city" in json.loads(call.function.arguments), "arguments")


@case
def chat_parsed_by_a_schema():
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Fact)
    expect(isinstance(answer.choices[0].message.parsed, Fact), "not parsed")


@case
def chat_with_logprobs():
    answer = client.chat.completions.create(
        model=MODEL, messages=HELLO, logprobs=True, top_logprobs=2, max_tokens=4
    )
    expect(answer.choices[0].logprobs.content, "no logprobs")


@case
def chat_with_two_choices_and_a_stop():
    answer = client.chat.completions.create(
        model=MODEL, messages=HELLO, n=2, stop=["there"], seed=1, max_completion_tokens=16
    )
    expect(len(answer.choices) == 2, "not two choices")
    expect("there" not in answer.choices[0].message.content, "the stop was passed")


@case
def raw_headers_tell_the_route():
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=HELLO, max_tokens=8
    )
    for name in ("x-request-id", "x-littoral-route", "x-littoral-cost", "x-littoral-predicted-ms"):
        expect(raw.headers.get(name), f"no {name}")


@case
def completion():
    expect(
        client.completions.create(model=MODEL, prompt="one two", max_tokens=16).choices[0].text,
        "no text",
    )


@case
def completion_streamed():
    chunks = list(
        client.completions.create(model=MODEL, prompt="one two", stream=True, max_tokens=16)
    )
    expect("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), "no text")


@case
def embeddings():
    found = client.embeddings.create(model=MODEL, input=["one", "two"])
    expect(len(found.data) == 2, "not two")
    expect(abs(sum(x * x for x in found.data[0].embedding) - 1) < 0.01, "no unit vector")
    plain = client.embeddings.create(model=MODEL, input="one", encoding_format="float")
    expect(
        abs(plain.data[0].embedding[0] - found.data[0].embedding[0]) < 1e-6, "float is not base64"
    )


@case
def rerank_and_score():
    body = {"model": MODEL, "query": "red fox", "documents": ["a red fox", "a blue whale"]}
    for path in ("/rerank", f"{URL}/v2/rerank"):
        found = client.post(path, body=body, cast_to=object)
        expect(found["results"][0]["index"] == 0, found)
    scored = client.post(
        "/score",
        body={"model": MODEL, "text_1": "red fox", "text_2": ["a red fox", "x"]},
        cast_to=object,
    )
    expect(len(scored["data"]) == 2, scored)


@case
def moderations():
    found = client.moderations.create(model=MODEL, input="hello")
    expect(found.results[0].flagged in {True, False}, "no verdict")


@case
def tokenize_and_detokenize():
    found = client.post(
        f"{URL}/tokenize", body={"model": MODEL, "prompt": "hello you"}, cast_to=object
    )
    back = client.post(
        f"{URL}/detokenize", body={"model": MODEL, "tokens": found["tokens"]}, cast_to=object
    )
    expect("hello you" in back["prompt"], back)


@case
def transcription_in_every_format():
    for shape in ("json", "verbose_json", "text", "srt", "vtt"):
        found = client.audio.transcriptions.create(model=MODEL, file=sound(), response_format=shape)
        expect(found if isinstance(found, str) else found.text, shape)


@case
def transcription_streamed():
    events = list(client.audio.transcriptions.create(model=MODEL, file=sound(), stream=True))
    expect(events[-1].type == "transcript.text.done", [event.type for event in events])


@case
def translation():
    expect(client.audio.translations.create(model=MODEL, file=sound()).text, "no text")


@case
def speech():
    found = client.audio.speech.create(
        model=MODEL, input="hello", voice="alloy", response_format="wav"
    )
    expect(found.content[:4] == b"RIFF", found.content[:16])


@case
def decisions():
    questions = [
        {"type": "predicate", "name": "sky", "instructions": "Is it about the sky?"},
        {
            "type": "choice",
            "name": "hue",
            "instructions": "Which colour?",
            "choices": [{"value": "blue", "description": "blue"}, {"value": "red"}],
        },
    ]
    found = client.decisions.create(model=MODEL, input="the sky is blue", questions=questions)
    expect([answer.name for answer in found.answers] == ["sky", "hue"], found)
    expect(0 <= found.answers[0].probability <= 1, found)


@case
def response():
    found = client.responses.create(model=MODEL, input="hello there", max_output_tokens=64)
    expect(found.status in ENDED, found.status)
    expect(found.output_text, "no text")
    expect(found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens, "sums")


@case
def response_streamed():
    types = [
        event.type
        for event in client.responses.create(
            model=MODEL, input="hello", stream=True, max_output_tokens=64
        )
    ]
    expect(types[0] == "response.created", types[0])
    expect(types[-1].removeprefix("response.") in ENDED, types[-1])
    expect("response.output_text.delta" in types, types)


@case
def response_with_a_tool():
    tool = {"type": "function", **WEATHER["function"], "strict": True}
    found = client.responses.create(model=MODEL, input="hello", tools=[tool])
    call = next(item for item in found.output if item.type == "function_call")
    told = [
        {"role": "user", "content": "hello"},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    last = client.responses.create(model=MODEL, input=told, tools=[tool])
    expect(last.output_text, "no answer after the tool's result")


@case
def response_parsed_by_a_schema():
    found = client.responses.parse(model=MODEL, input="hello", text_format=Fact)
    expect(isinstance(found.output_parsed, Fact), "not parsed")


@case
def response_stored_continued_and_deleted():
    kept = client.responses.create(model=MODEL, input="hello", store=True, max_output_tokens=32)
    again = client.responses.retrieve(kept.id)
    expect(again.output_text == kept.output_text, "another text")
    expect(client.responses.input_items.list(kept.id).data, "no input items")
    more = client.responses.create(
        model=MODEL, input="and you?", previous_response_id=kept.id, max_output_tokens=32
    )
    expect(more.previous_response_id == kept.id, "not continued")
    client.responses.delete(kept.id)
    try:
        client.responses.retrieve(kept.id)
    except openai.NotFoundError:
        return
    raise AssertionError("still there")


@case
def response_in_the_background():
    begun = client.responses.create(
        model=MODEL, input="hello", store=True, background=True, max_output_tokens=32
    )
    expect(begun.status in {"queued", "in_progress", *ENDED}, begun.status)
    for _ in range(300):
        now = client.responses.retrieve(begun.id)
        if now.status in ENDED:
            expect(now.output_text, "no text")
            return
        time.sleep(0.2)
    raise AssertionError(now.status)


def refusal_of(kind, **change):
    asked = {"model": MODEL, "messages": HELLO, **change}
    try:
        client.chat.completions.create(**asked)
    except kind as error:
        expect(error.body["message"], "no message")
        return error
    raise AssertionError("not refused")


@case
def errors_have_their_own_types():
    refusal_of(openai.NotFoundError, model="no-such-model")
    expect(refusal_of(openai.BadRequestError, temperature=9).param == "temperature", "param")
    try:
        client.with_options(api_key="wrong").models.list()
    except openai.AuthenticationError:
        return
    raise AssertionError("a wrong key was taken")


sys.exit(case.run())
