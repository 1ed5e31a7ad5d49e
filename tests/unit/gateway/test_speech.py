"""Sound: forms read and written anew, transcripts in each format, long bodies within bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.limits import Budget, Limits
from littoral.gateway import speech
from littoral.gateway.dialect.transcript import TRANSCRIPT, heard
from littoral.gateway.quota import TEMPLATE_TOKENS
from littoral.gateway.realtime import wav
from littoral.gateway.refusal import Refusal
from littoral.gateway.wire.intake import BODY_S
from littoral.trust.form import SEPARATOR, Part, build, parse

SOUND = b"RIFF\x00sound"


def form(*, file=SOUND, filename="a.WAV", **fields):
    parts = [
        Part(name=name, data=each.encode())
        for name, value in {"model": "m", **fields}.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return build([*parts, Part(name="file", data=file, filename=filename, media="audio/wav")])


def read(*, translate=False, **fields):
    reader = speech.read_translation if translate else speech.read_transcription
    return reader(form(**fields))


def sent(**fields):
    asked = read(**fields)
    assert not isinstance(asked, Refusal), asked
    parts = parse(speech.encode_recording(asked, "inner", 1))
    return {part.name: part.data.decode() for part in parts if part.name != "file"}, parts[-1]


def test_an_engine_gets_the_fields_that_are_known_and_a_file_of_our_name():
    fields, file = sent(
        prompt="云", language="en", temperature="0.5", stream="true", api_base="http://elsewhere"
    )
    assert fields == {
        "model": "inner",
        "response_format": "json",
        "prompt": "云",
        "temperature": "0.5",
        "language": "en",
        "stream": "true",
    }
    assert file == Part(name="file", data=SOUND, filename="audio.wav", media="audio/wav")
    assert read(api_base="x").ignored == ["api_base"]
    assert sent(filename="../../etc/passwd")[1].filename == "audio"


@pytest.mark.parametrize(
    ("wanted", "asked_for", "media"),
    [
        ("json", "json", b""),
        ("verbose_json", "verbose_json", b""),
        ("text", "json", b"text/plain; charset=utf-8"),
        ("srt", "verbose_json", b"text/plain; charset=utf-8"),
        ("vtt", "verbose_json", b"text/vtt; charset=utf-8"),
    ],
)
def test_text_formats_are_made_here_of_what_engines_say(wanted, asked_for, media):
    assert sent(response_format=wanted)[0]["response_format"] == asked_for
    assert read(response_format=wanted, translate=True).media == media


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"language": "en<script>"}, "language"),
        ({"stream": "perhaps"}, "stream"),
        ({"stream": "true", "response_format": "srt"}, "response_format"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        (
            {"timestamp_granularities[]": "hour", "response_format": "verbose_json"},
            "timestamp_granularities[0]",
        ),
        ({"timestamp_granularities": "word"}, "timestamp_granularities"),
        ({"model": ""}, "model"),
        ({"model": ["a", "b"]}, "model"),
        ({"model[]": "a"}, "model"),
        ({"file": b""}, "file"),
        ({"filename": None}, "file"),
        ({"prompt": "x" * 65_537}, "prompt"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    refusal = read(**fields)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, param)


def test_two_files_or_none_are_refused():
    part = Part(name="file", data=b"x", filename="x")
    model = Part(name="model", data=b"m")
    for parts in ([model], [model, part, part], [model, part, Part(name="file", data=b"x")]):
        assert speech.read_transcription(build(parts)).param == "file"


def test_a_file_with_our_separator_is_refused():
    whole = form(file=b"MARK").replace(SEPARATOR, b"other").replace(b"MARK", SEPARATOR)
    assert speech.read_transcription(whole).param == "file"


@given(st.binary(max_size=300).filter(lambda data: SEPARATOR not in data))
def test_no_bytes_make_a_reader_fail(data):
    for body in (data, form(file=data or b"x"), form()[: len(data)] + data):
        for reader in (speech.read_transcription, speech.read_translation, speech.read_speech):
            found = reader(body)
            assert not isinstance(found, Refusal) or found.status == 400


VERBOSE = {
    "text": "one two",
    "duration": "2.5",
    "segments": [
        {"id": 0, "start": 0, "end": 1.2345, "text": " one\n\n--> three"},
        {"id": 1, "start": 1.2345, "end": 3723.5, "text": " two"},
    ],
}


def told(wanted, reply=VERBOSE):
    return TRANSCRIPT.whole(read(response_format=wanted), json.dumps(reply).encode(), "r")


def test_subtitles_have_numbers_times_and_no_line_that_begins_another():
    assert told("srt").decode() == (
        "1\n00:00:00,000 --> 00:00:01,234\none\n-> three\n\n"
        "2\n00:00:01,234 --> 01:02:03,500\ntwo\n\n"
    )
    assert (
        told("vtt")
        .decode()
        .startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.234\none\n-> three\n\n")
    )


def test_without_segments_the_whole_is_one():
    reply = {"text": "all", "duration": 2}
    assert told("srt", reply) == b"1\n00:00:00,000 --> 00:00:02,000\nall\n\n"
    assert told("text", reply) == b"all\n"
    assert json.loads(told("verbose_json")) == VERBOSE


def test_a_reply_without_text_is_the_engines_fault():
    with pytest.raises(ValueError, match="text"):
        told("text", {})


@pytest.mark.parametrize(
    ("reply", "used"),
    [
        ({"text": "hear", "usage": {"type": "duration", "seconds": 1.25}}, (13, 1)),
        ({"text": "hear", "duration": "1.25"}, (13, 1)),
        ({"text": "hear", "usage": {"input_tokens": 5, "output_tokens": 2}}, (5, 2)),
    ],
)
def test_sound_is_counted_in_tokens_or_by_its_seconds(reply, used):
    usage = heard(json.dumps(reply).encode()).usage
    assert (usage.tokens_in, usage.tokens_out) == used


def test_sound_that_nobody_counted_is_estimated_from_its_size():
    assert heard(b'{"text":"x"}').usage is None
    assert heard(b'{"error":"x"}').fault == "x"
    assert heard(b"RIFF") is None
    assert read(file=b"x" * 16_000).weight == 11


ABLE = ("transcriptions", "translations", "speech", "stream")


def upload(rig, raw=None, **fields):
    rig.endpoints(rig.endpoint(1, capabilities=ABLE))
    return rig.ask(raw or rig.post(form(**fields), path="/v1/audio/transcriptions"))


def test_a_recording_is_asked_as_a_form_and_answered_as_text(rig, kit):
    _, transport, engine = upload(rig, response_format="text")
    head = engine.data.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"POST /v1/audio/transcriptions HTTP/1.1")
    assert b"content-type: multipart/form-data; boundary=" + SEPARATOR in head
    reply = {"text": "hear", "usage": {"input_tokens": 5, "output_tokens": 2}}
    engine.protocol.data_received(kit.answer(json.dumps(reply).encode()))
    assert b"content-type: text/plain; charset=utf-8\r\n" in transport.data
    assert transport.data.endswith(b"\r\n\r\nhear\n")
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out) == (5, 2)


def test_a_transcript_streams_and_is_counted(rig, kit):
    _, transport, engine = upload(rig, stream="true")
    delta = b'data: {"type":"transcript.text.delta","delta":"hi"}\n\n'
    done = (
        b'data: {"type":"transcript.text.done","text":"hi",'
        b'"usage":{"type":"tokens","input_tokens":9,"output_tokens":3}}\n\n'
    )
    engine.protocol.data_received(
        kit.stream_head + kit.chunk(delta) + kit.chunk(done) + b"0\r\n\r\n"
    )
    _, payload, complete = kit.unchunked(transport.data)
    assert complete
    assert payload == delta + done + kit.done
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out, record.streamed) == (9, 3, True)


def test_speech_is_passed_on_as_the_sound_that_it_is(rig, kit):
    body = {"model": "m", "input": "eight by", "voice": "alloy", "response_format": "wav"}
    raw = rig.post(json.dumps(body).encode(), path="/v1/audio/speech")
    _, transport, engine = upload(rig, raw)
    engine.protocol.data_received(kit.answer(b"RIFF\x00\xff"))
    assert b"content-type: audio/wav\r\n" in transport.data
    assert transport.data.endswith(b"\r\n\r\nRIFF\x00\xff")
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out, record.estimated) == (2, 0, True)


def test_sound_that_breaks_off_is_never_passed_on_as_whole(rig):
    body = {"model": "m", "input": "x", "voice": "alloy"}
    raw = rig.post(json.dumps(body).encode(), path="/v1/audio/speech")
    _, transport, engine = upload(rig, raw)
    engine.protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\nRIFF")
    engine.protocol.connection_lost(None)
    assert transport.data.startswith(b"HTTP/1.1 502")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": {}}, "voice"),
        ({"voice": {"id": "v", "url": "x"}}, "voice"),
        ({"voice": 3}, "voice"),
        ({"speed": 5}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "ws"}, "stream_format"),
    ],
)
def test_a_wrong_field_of_speech_is_named(change, param):
    body = {"model": "m", "input": "hi", "voice": "alloy", **change}
    refusal = speech.read_speech(json.dumps(body).encode())
    assert (refusal.status, refusal.param) == (400, param)


def test_speech_as_events_needs_an_engine_that_streams():
    body = {"model": "m", "input": "hi", "voice": {"id": "v"}, "stream_format": "sse"}
    asked = speech.read_speech(json.dumps(body).encode())
    assert asked.streamed
    assert asked.needs == speech.SPEECH | speech.read_transcription(form(stream="true")).needs ^ (
        speech.TRANSCRIPTIONS
    )


BIG = 5 * 1024 * 1024


def head_of(rig, *, size=BIG, path="/v1/audio/transcriptions", key=None, length=None):
    given = f"Content-Length: {size}" if length is None else length
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key or rig.key}", given)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_long_body_is_taken_on_these_paths_alone(rig):
    for path, status in (("/v1/audio/transcriptions", b""), ("/v1/embeddings", b"HTTP/1.1 413")):
        client, transport = rig.client()
        client.data_received(head_of(rig, path=path))
        assert transport.data.startswith(status)
    client, transport = rig.client()
    client.data_received(head_of(rig, size=speech.MOST_SOUND + 1))
    assert transport.data.startswith(b"HTTP/1.1 413")


def test_a_long_body_whose_length_is_not_said_is_bounded_too(rig, kit):
    client, transport = rig.client()
    client.data_received(head_of(rig, length="Transfer-Encoding: chunked"))
    for _ in range(25):
        client.data_received(kit.chunk(b"x" * 1024 * 1024))
        assert transport.data == b""
    client.data_received(kit.chunk(b"x" * 1024 * 1024))
    assert transport.data.startswith(b"HTTP/1.1 413")


def test_a_long_body_of_nobody_is_refused_before_it_comes(rig):
    client, transport = rig.client()
    client.data_received(head_of(rig, key="lit-sk-nothing"))
    assert transport.data.startswith(b"HTTP/1.1 401")
    assert transport.closed


def test_long_bodies_have_room_together_and_give_it_back(rig, kit):
    before = rig.worker.room
    whole = form(file=b"x" * BIG)
    raw = rig.post(whole, path="/v1/audio/transcriptions")
    client, transport, engine = upload(rig, raw[:1000])
    assert rig.worker.room == before - speech.MOST_SOUND
    client.data_received(raw[1000:])
    rig.loop.run()
    assert rig.worker.room == before - speech.MOST_SOUND
    engine = rig.loop.dialled[-1]
    engine.protocol.data_received(kit.answer(b'{"text":"x"}'))
    assert transport.data.startswith(b"HTTP/1.1 200")
    assert rig.worker.room == before
    client.data_received(raw[:1000])
    client.connection_lost(None)
    assert rig.worker.room == before


def test_without_room_a_long_body_waits(rig):
    rig.worker.room = speech.MOST_SOUND - 1
    client, transport = rig.client()
    client.data_received(head_of(rig))
    assert transport.data.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in transport.data


def test_a_long_body_has_time_by_its_length(rig):
    client, _ = rig.client()
    raw = head_of(rig)
    client.data_received(raw[:20])
    client.data_received(raw[20:])
    assert client.due == rig.worker.now + BODY_S + BIG / (128 * 1024)


@pytest.mark.parametrize(
    ("file", "seconds"),
    [
        (wav(bytes(24_000 * 2 * 3), 24_000), 3.0009),
        (wav(bytes(8_000), 8_000), 0.50275),
        (wav(b"", 0), None),
        (wav(bytes(100), 8_000).replace(b"fmt ", b"none"), None),
        (wav(bytes(100), 8_000).replace(b"fmt \x10\0\0\0\1", b"fmt \x10\0\0\0\x55"), None),
        (b"RIFF....WAVEfmt ", None),
        (b"OggS" + bytes(64_000), None),
    ],
)
def test_a_file_of_plain_samples_says_how_long_it_is(file, seconds):
    assert speech.seconds_of(file) == (seconds and pytest.approx(seconds, abs=1e-4))


@pytest.mark.parametrize(
    ("file", "most_in", "most_out"),
    [
        (wav(bytes(24_000 * 2 * 60), 24_000), 3001, 825),  # a minute
        (b"OggS" + bytes(64_000 - 4), 5000, 1224),  # a minute and 40 s, as slow as sound may be
    ],
)
def test_a_budget_holds_what_sound_may_cost_and_not_a_token_for_each_byte(
    make, file, most_in, most_out
):
    limits = Limits(budget=Budget(amount=1000.0, period="hour"))
    rig = make(limits={"project:p": limits})
    upload(rig, rig.post(form(file=file, prompt="six by"), path="/v1/audio/transcriptions"))
    assert rig.quota.taken(0) == (most_in + 6 + TEMPLATE_TOKENS) * 1000 + most_out * 2000
