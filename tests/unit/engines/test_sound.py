"""The fake engine's ears and voice: the same words for the same file, and a real sine."""

import base64
import io
import wave

import pytest

from littoral.domain.errors import InvalidInput
from littoral.engines.child import sound
from littoral.trust.form import Part, build


def form(data=b"x" * 16_000, **fields):
    parts = [Part(name=name, data=value.encode()) for name, value in fields.items()]
    return build([*parts, Part(name="file", data=data, filename="a.mp3")])


def test_the_same_file_is_heard_the_same():
    heard = sound.hear(form(), translate=False)
    assert heard.text == "heard 1.00 seconds of sound f2c32edd"
    assert sound.hear(form(), translate=True).text.startswith("translated 1.00 seconds")
    assert sound.hear(form(b"y"), translate=False).text != heard.text
    assert "".join(sound.pieces_of(heard)) == heard.text


def test_segments_and_words_cover_the_whole_sound():
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    told = sound.told(sound.hear(form(**fields), translate=False))
    for kind in ("segments", "words"):
        assert told[kind][0]["start"] == 0
        assert told[kind][-1]["end"] == 1.0
    assert "".join(each["text"] for each in told["segments"]).strip() == told["text"]
    assert told["usage"] == {"type": "duration", "seconds": 1.0}
    assert "words" not in sound.told(
        sound.hear(form(response_format="verbose_json"), translate=False)
    )


def test_a_prompt_is_counted():
    usage = sound.told(sound.hear(form(prompt="12345678"), translate=False))["usage"]
    assert usage["input_token_details"] == {"audio_tokens": 10, "text_tokens": 2}


def test_what_is_not_offered_is_refused():
    with pytest.raises(ValueError, match="json or verbose_json"):
        sound.hear(form(response_format="srt"), translate=False)
    with pytest.raises(ValueError, match="no file"):
        sound.hear(build([Part(name="model", data=b"m")]), translate=False)
    with pytest.raises(InvalidInput):
        sound.hear(b"{}", translate=False)
    with pytest.raises(ValueError, match="wav, pcm are"):
        sound.spoken(sound.Speech(input="x"), b"")


def test_speech_is_a_sine_of_fifty_milliseconds_a_token():
    ask = sound.Speech(input="x" * 80, response_format="wav")
    samples = sound.samples_of(ask)
    said = sound.spoken(ask, samples)
    with wave.open(io.BytesIO(said)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.getnframes() == 24_000
        assert file.readframes(24_000) == samples
    assert sound.seconds_of(said) == 1.0
    assert len(sound.samples_of(sound.Speech(input="x" * 80, speed=2.0))) == len(samples) // 2
    crossings = sum(1 for a, b in zip(samples[1::2], samples[3::2]) if (a < 128) != (b < 128))  # noqa: B905  pairs
    assert 878 <= crossings <= 881


def test_events_carry_all_of_the_sound_and_what_was_used():
    ask = sound.Speech(input="x" * 80, response_format="pcm", stream_format="sse")
    samples = sound.spoken(ask, sound.samples_of(ask))
    *pieces, done = sound.events_of(ask, samples)
    assert b"".join(base64.b64decode(piece["audio"]) for piece in pieces) == samples
    assert done["usage"] == {"input_tokens": 20, "output_tokens": 2, "total_tokens": 22}


def test_a_wav_without_a_rate_or_data_still_has_a_length():
    assert sound.seconds_of(b"RIFF\x00\x00\x00\x00WAVE" + bytes(40)) == 0.001
    assert sound.seconds_of(b"RIFF") == 0.0
