"""Sockets: what a realtime session holds, and that it gives it back."""

import base64
import json

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.uri import parse_uri

from littoral.domain.session import Reach
from littoral.gateway.pace import Pace


class Peer:
    """The client's end, on a connection of the rig."""

    def __init__(self, rig):
        self.frames = ClientProtocol(parse_uri("ws://here/v1/realtime?model=m"))
        request = self.frames.connect()
        request.headers["Authorization"] = f"Bearer {rig.key}"
        self.frames.send_request(request)
        self.client, self.transport = rig.client()
        self.transport.set_protocol = self.become
        self.client.data_received(b"".join(self.frames.data_to_send()))

    def become(self, protocol):
        self.client = protocol

    def say(self, kind, **fields):
        self.frames.send_text(json.dumps({"type": kind, **fields}).encode())
        self.client.data_received(b"".join(self.frames.data_to_send()))

    def speak(self, sound):
        self.say("input_audio_buffer.append", audio=base64.b64encode(sound).decode())

    def heard(self):
        data, self.transport.data = self.transport.data, b""
        self.frames.receive_data(data)
        events = [e for e in self.frames.events_received() if not isinstance(e, Response)]
        return [json.loads(e.data) for e in events if isinstance(e, Frame) and e.opcode == 1]


@pytest.fixture
def peer(rig):
    made = Peer(rig)
    assert made.heard()[0]["type"] == "session.created"
    session = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    made.say("session.update", session=session)
    assert made.heard()[0]["type"] == "session.updated"
    return made


def test_sound_that_waits_takes_room_and_gives_it_back(rig, peer):
    before = rig.worker.room
    peer.speak(bytes(6000))
    assert rig.worker.room == before - 6000
    peer.say("input_audio_buffer.clear")
    assert rig.worker.room == before
    peer.speak(bytes(6000))
    peer.client.connection_lost(None)
    assert rig.worker.room == before


def test_a_session_without_room_ends_and_holds_nothing(rig, peer):
    rig.worker.room = 5000
    peer.speak(bytes(6000))
    assert peer.heard()[-1]["error"]["code"] == "overloaded"
    assert peer.transport.closed
    peer.client.connection_lost(None)
    assert rig.worker.room == 5000


def test_a_turn_holds_its_sound_until_it_is_over(rig, peer):
    before = rig.worker.room
    peer.speak(bytes(6000))
    peer.say("input_audio_buffer.commit")
    assert {event["type"].rpartition(".")[2] for event in peer.heard()} == {"committed", "failed"}
    assert rig.worker.room == before


def test_who_says_more_than_a_session_may_is_heard_later(rig, peer):
    for _ in range(3):
        peer.speak(bytes(1_500_000))
        peer.say("input_audio_buffer.clear")
    assert peer.transport.paused
    assert [each["type"] for each in peer.heard()] == ["input_audio_buffer.cleared"] * 3
    later = rig.loop.later[-1]
    assert later[0] == pytest.approx(6_000_000 / 2**21 - 1.0, abs=0.01)
    rig.clock.advance(later[0])
    peer.client.pause_writing()
    later[1]()
    assert peer.transport.paused
    peer.client.resume_writing()
    assert not peer.transport.paused
    peer.speak(bytes(480))
    assert not peer.transport.paused


def test_who_left_while_it_was_not_heard_is_not_heard_again(rig, peer):
    for _ in range(3):
        peer.speak(bytes(1_500_000))
    peer.transport.close()
    rig.loop.later[-1][1]()
    assert peer.transport.paused


def test_many_small_messages_count_as_more_than_their_bytes():
    pace = Pace()
    for _ in range(8192):
        pace.hear(1, 10.0)
    assert pace.wait_s(10.0) == 0
    pace.hear(1, 10.0)
    assert pace.wait_s(10.0) == pytest.approx(1.0, abs=0.001)
    assert pace.wait_s(10.001) == 0


@pytest.mark.parametrize("offline", [True, False])
def test_a_session_says_as_it_begins_that_control_is_away(rig, offline):
    rig.worker.take_reach(Reach(offline=offline))
    opened = Peer(rig)
    assert opened.transport.data.startswith(b"HTTP/1.1 101")
    assert (b"x-littoral-offline: true\r\n" in opened.transport.data) is offline
