"""Realtime sessions: what is heard, where turns end, what is told."""

import base64
import io
import itertools
import json
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.realtime import MOST_SOUND, Session, Turn, wav
from littoral.gateway.refusal import Refusal
from littoral.gateway.turns import Hearing, Turns

RATE = 24_000


def tone(ms, level=0.3, rate=RATE):
    count = rate * ms // 1000
    samples = [int(32767 * level * math.sin(i * 0.2)) for i in range(count)]
    return struct.pack(f"<{count}h", *samples)


def quiet(ms, rate=RATE):
    return b"\0\0" * (rate * ms // 1000)


def said(kind, **fields):
    return json.dumps({"type": kind, **fields}).encode()


def sound(data):
    return said("input_audio_buffer.append", audio=base64.b64encode(data).decode())


def events(heard):
    return [json.loads(each) for each in heard if isinstance(each, bytes)]


def turns(heard):
    return [each for each in heard if isinstance(each, Turn)]


def manual(**fields):
    session = Session("x", "ears")
    settings = {"type": "transcription", "audio": {"input": {"turn_detection": None, **fields}}}
    (told,) = events(session.hear(said("session.update", session=settings)))
    assert told["type"] == "session.updated", told
    return session


def test_a_session_says_what_it_is():
    told = json.loads(Session("x", "ears").opened())
    assert told["type"] == "session.created"
    assert told["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": RATE}


def test_a_turn_ended_by_the_client_is_its_sound_and_no_other():
    session = manual(transcription={"model": "other", "language": "en"})
    first, second = tone(200), tone(300)
    assert session.hear(sound(first)) == ()
    told = session.hear(said("input_audio_buffer.commit"))
    assert events(told)[0]["type"] == "input_audio_buffer.committed"
    (turn,) = turns(told)
    assert (turn.by.model, turn.by.language) == ("other", "en")
    with wave.open(io.BytesIO(turn.sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert file.readframes(file.getnframes()) == first
    session.hear(sound(second))
    (again,) = turns(session.hear(said("input_audio_buffer.commit")))
    assert again.sound.endswith(second)
    assert again.item != turn.item


def test_items_name_the_one_before():
    session = manual()
    found = []
    for _ in range(2):
        session.hear(sound(tone(200)))
        found.append(events(session.hear(said("input_audio_buffer.commit")))[0])
    assert found[0]["previous_item_id"] is None
    assert found[1]["previous_item_id"] == found[0]["item_id"]


def test_quiet_ends_a_turn_that_began_with_something_loud():
    session = Session("x", "ears")
    told = []
    for piece in (quiet(1000), tone(400), quiet(700), quiet(1000)):
        told += session.hear(sound(piece))
    kinds = [each["type"] for each in events(told)]
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    started, stopped, committed = events(told)
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    assert 650 <= started["audio_start_ms"] <= 1000
    assert 1850 <= stopped["audio_end_ms"] <= 1950
    (turn,) = turns(told)
    with wave.open(io.BytesIO(turn.sound)) as file:
        seconds = file.getnframes() / RATE
    assert 1.1 <= seconds <= 1.3  # padding 0.3, sound 0.4, quiet 0.5


def test_cleared_sound_is_in_no_turn():
    session = manual()
    session.hear(sound(tone(500)))
    assert events(session.hear(said("input_audio_buffer.clear")))[0]["type"].endswith("cleared")
    refused = events(session.hear(said("input_audio_buffer.commit")))[0]
    assert refused["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    "text",
    [
        b"no json",
        b"[]",
        said("session.fly"),
        said("session.update"),
        said("session.update", session={"type": "realtime"}),
        said("session.update", session={"type": "transcription", "voice": "x"}),
        said("session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}}),
        said("session.update", session={"audio": {"input": {"turn_detection": {"threshold": 2}}}}),
        said("input_audio_buffer.append", audio="%%%"),
        said("input_audio_buffer.append", audio=base64.b64encode(b"odd").decode()),
        said("input_audio_buffer.append"),
        b"[" * 2000,
        b"\xff",
    ],
)
def test_what_is_wrong_is_said_and_the_session_goes_on(text):
    session = manual()
    (told,) = events(session.hear(text))
    assert told["type"] == "error"
    assert told["error"]["message"]
    session.hear(sound(tone(200)))
    assert turns(session.hear(said("input_audio_buffer.commit")))


def test_the_format_stays_while_sound_waits():
    session = manual()
    session.hear(sound(tone(200)))
    change = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}
    assert events(session.hear(said("session.update", session=change)))[0]["type"] == "error"


def test_a_turn_has_an_end():
    session = manual()
    piece = bytes(3 * 1024 * 1024)
    for _ in range(MOST_SOUND // len(piece)):
        assert session.hear(sound(piece)) == ()
    assert events(session.hear(sound(piece)))[0]["error"]["code"] == "too_large"


def test_transcripts_are_told_by_their_item():
    session = Session("x", None)
    delta = json.loads(session.delta("item_1", "he"))
    assert (delta["item_id"], delta["delta"]) == ("item_1", "he")
    whole = json.loads(session.completed("item_1", "hello", {"total_tokens": 3}))
    assert (whole["transcript"], whole["usage"]) == ("hello", {"total_tokens": 3})
    failed = json.loads(session.failed("item_1", Refusal(503, "overloaded", "later")))
    assert failed["error"]["code"] == "overloaded"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=5),
    st.lists(st.integers(1, 9000), min_size=1, max_size=6),
)
def test_turns_do_not_depend_on_how_the_sound_is_cut(parts, sizes):
    whole = b"".join(tone(ms, rate=8000) if loud else quiet(ms, rate=8000) for loud, ms in parts)
    hearing = Hearing(silence_ms=100)
    at_once = Turns(8000, hearing).take(whole)
    piecewise, ears, at, cuts = [], Turns(8000, hearing), 0, itertools.cycle(sizes)
    while at < len(whole):
        size = next(cuts)
        piecewise += ears.take(whole[at : at + size])
        at += size
    assert piecewise == at_once
    assert [what for what, _ in at_once] == (["began", "ended"] * len(at_once))[: len(at_once)]


def test_a_wav_file_is_read_back():
    with wave.open(io.BytesIO(wav(tone(100, rate=16000), 16000))) as file:
        assert file.getnframes() == 1600
