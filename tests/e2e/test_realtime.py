"""Realtime transcription over a real WebSocket: sound goes in, transcripts come out."""

import base64
import json
import math
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

RATE = 24_000


def tone(ms):
    count = RATE * ms // 1000
    return struct.pack(f"<{count}h", *(int(9000 * math.sin(i * 0.2)) for i in range(count)))


def dial(site, key=None, query="intent=transcription&model=echo"):
    headers = {"authorization": f"Bearer {key or site.key}"}
    url = f"ws://127.0.0.1:{site.port}/v1/realtime?{query}"
    return connect(url, additional_headers=headers, open_timeout=10, proxy=None)


def say(socket, kind, **fields):
    socket.send(json.dumps({"type": kind, **fields}))


def hear(socket, kind):
    """Events until one of a kind, that one last."""
    found = []
    while not found or not found[-1]["type"].endswith(kind):
        found.append(json.loads(socket.recv(timeout=10)))
    return found


def speak(socket, *pieces):
    for piece in pieces:
        say(socket, "input_audio_buffer.append", audio=base64.b64encode(piece).decode())


def manual(socket):
    hear(socket, "session.created")
    session = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    say(socket, "session.update", session=session)
    hear(socket, "session.updated")


def test_two_turns_are_written_down_and_metered(lasting):
    key = lasting.load_key()
    with dial(lasting, key) as socket:
        manual(socket)
        texts = []
        for ms in (300, 500):
            speak(socket, tone(ms))
            say(socket, "input_audio_buffer.commit")
            heard = hear(socket, ".completed")
            deltas = "".join(each["delta"] for each in heard if each["type"].endswith(".delta"))
            assert deltas == heard[-1]["transcript"]
            assert heard[-1]["usage"]["total_tokens"] > 0
            texts.append(deltas)
    assert all(texts)
    name = key.split("-")[2][:10]

    def booked():
        rows = lasting.request("GET", "/api/v1/usage?by=key")[1]["rows"]
        return sum(row["requests"] for row in rows if name in row["key"])

    lasting.wait_for(lambda: booked() == 2, "two rows in the ledger")


def test_quiet_ends_a_turn(lasting):
    with dial(lasting) as socket:
        hear(socket, "session.created")
        speak(socket, bytes(RATE), tone(400), bytes(2 * RATE))
        kinds = [each["type"] for each in hear(socket, ".completed")]
    assert kinds[:3] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]


@pytest.mark.parametrize("text", ["no json", '{"type":"session.fly"}', "[" * 5000])
def test_garbage_gets_an_error_and_the_session_goes_on(lasting, text):
    with dial(lasting) as socket:
        manual(socket)
        socket.send(text)
        assert hear(socket, "error")[-1]["error"]["message"]
        speak(socket, tone(300))
        say(socket, "input_audio_buffer.commit")
        hear(socket, ".completed")


def test_a_turn_that_no_model_takes_says_why(lasting):
    with dial(lasting, query="intent=transcription&model=nobody") as socket:
        manual(socket)
        speak(socket, tone(300))
        say(socket, "input_audio_buffer.commit")
        assert hear(socket, ".failed")[-1]["error"]["code"] == "model_not_found"


def test_a_wrong_key_and_another_intent_are_refused_before_the_upgrade(lasting):
    for key, query, status in (("wrong", "model=echo", 401), (None, "intent=conversation", 400)):
        with pytest.raises(InvalidStatus) as caught:
            dial(lasting, key, query)
        assert caught.value.response.status_code == status


def test_what_is_no_websocket_handshake_is_refused(lasting):
    for headers in ({"upgrade": "h2c"}, {"upgrade": "websocket"}):
        connection = lasting.connect()
        head = {"authorization": f"Bearer {lasting.key}", "connection": "upgrade", **headers}
        connection.request("GET", "/v1/realtime", headers=head)
        assert 400 <= connection.getresponse().status < 500
        connection.close()
    assert lasting.ready()


def test_a_message_over_the_limit_ends_the_session(lasting):
    def flood():
        with dial(lasting) as socket:
            socket.send("x" * (4 * 1024 * 1024 + 1))
            hear(socket, "never")

    with pytest.raises(ConnectionClosed):
        flood()


def test_a_revoked_key_ends_its_sessions(lasting):
    status, made = lasting.request("POST", "/api/v1/keys", {"name": "brief", "scopes": ["infer"]})
    assert status in {200, 201}
    secret = made["secret"]
    lasting.wait_for(lambda: lasting.answers("/v1/models", key=secret), "the key to be known")
    with dial(lasting, secret) as socket:
        hear(socket, "session.created")
        lasting.request("DELETE", f"/api/v1/keys/{made['key']['id']}")
        assert "revoked" in hear(socket, "error")[-1]["error"]["message"]
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
