"""What every Engine that hears serves, in OpenAI's shapes; in the slow lane, on real weights."""

import io
import json
import math
import struct
import wave
from dataclasses import replace

import pytest

from contract.driven import launched

SECONDS = 2
RATE = 16_000

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def tone(seconds: float = SECONDS) -> bytes:
    """A WAV file with a tone in it."""
    samples = (int(8000 * math.sin(at / 12)) for at in range(int(seconds * RATE)))
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return data.getvalue()


async def heard(client, *, file=None, path="/audio/transcriptions", **fields):
    files = {"file": ("a.wav", tone() if file is None else file, "audio/wav")}
    return await client.post(path, files=files, data=fields)


async def test_sound_becomes_text_with_usage_in_tokens_and_seconds(hearing):
    async with launched(hearing) as (endpoint, client):
        answer = await heard(client, model="demo")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert "transcriptions" in endpoint.capabilities
    assert isinstance(body["text"], str)
    assert body["usage"]["seconds"] == SECONDS
    assert body["usage"]["input_token_details"]["audio_tokens"] == 50 * SECONDS
    parts = body["usage"]["input_tokens"] + body["usage"]["output_tokens"]
    assert body["usage"]["total_tokens"] == parts


async def test_the_verbose_form_has_segments_and_words_as_asked(hearing):
    kinds = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    async with launched(hearing) as (_, client):
        body = (await heard(client, **kinds)).json()
        words = kinds | {"timestamp_granularities[]": "word"}
        only = (await heard(client, **words)).json()
    assert body["duration"] == SECONDS
    assert body["language"] == "en"
    assert isinstance(body["segments"], list)
    assert isinstance(body["words"], list)
    assert "segments" not in only


async def test_a_stream_ends_with_the_whole_text(hearing):
    async with launched(hearing) as (_, client):
        answer = await heard(client, stream="true")
    frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert frames[-1] == "[DONE]"
    events = [json.loads(frame) for frame in frames[:-1]]
    assert events[-1]["type"] == "transcript.text.done"
    deltas = "".join(each["delta"] for each in events[:-1])
    assert deltas.strip() == events[-1]["text"]
    assert events[-1]["usage"]["type"] == "tokens"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"file": b"no sound at all"}, "no sound"),
        ({"file": b"RIFF\0\0\0\0WAVE"}, "cannot be decoded"),
        ({"file": b"#EXTM3U\nhttp://127.0.0.1/"}, "no sound"),
        ({"language": "zz"}, "hears en"),
        ({"response_format": "diarized_json"}, "response_format must be"),
        ({"temperature": "2"}, "temperature"),
        ({"stream": "true", "response_format": "verbose_json"}, "streamed"),
        ({"nonsense": "1"}, "no field"),
    ],
)
async def test_what_cannot_be_heard_is_refused(hearing, fields, why):
    async with launched(hearing) as (_, client):
        answer = await heard(client, **fields)
        after = await heard(client, file=tone(0.2))
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["error"]["message"]
    assert after.status_code == 200


async def test_sound_beyond_the_bound_is_refused(hearing):
    assignment = replace(hearing.spec.assignment, options={"seconds_max": 1})
    bounded = replace(hearing, spec=replace(hearing.spec, assignment=assignment))
    async with launched(bounded) as (_, client):
        answer = await heard(client)
        shorter = await heard(client, file=tone(0.9))
    assert answer.status_code == 413
    assert "longer than 1 s" in answer.json()["error"]["message"]
    assert shorter.status_code == 200
