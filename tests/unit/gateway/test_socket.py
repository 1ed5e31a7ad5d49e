"""A realtime session's connection, where a client's frames come in an order of its own."""

import base64
import json

import pytest
from websockets.frames import Close, Frame, Opcode

from littoral.gateway.realtime import Session
from littoral.gateway.wire.socket import Socket

HEADERS = [
    (b"Host", b"x"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", base64.b64encode(b"k" * 16)),
]
MANUAL = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
CLOSE = Frame(Opcode.CLOSE, Close(1000, "").serialize())


def text(kind, **fields):
    return Frame(Opcode.TEXT, json.dumps({"type": kind, **fields}).encode())


def speech():
    """What makes one turn."""
    sound = base64.b64encode(b"\1\0" * 4800).decode()
    yield text("session.update", session=MANUAL)
    yield text("input_audio_buffer.append", audio=sound)
    yield text("input_audio_buffer.commit")


@pytest.fixture
def session(rig):
    _, transport = rig.client()
    transport.set_protocol = lambda protocol: setattr(transport, "protocol", protocol)
    able = ("transcriptions", "stream")
    rig.endpoints(rig.endpoint(1, capabilities=able))
    key = rig.worker.source.tables.keys[rig.grant.id]
    socket = Socket(rig.worker, transport, Session("x", "m"), key=key)
    socket.open(b"/v1/realtime", HEADERS, b"")

    def send(*frames):
        data = b"".join(each.serialize(mask=True) for each in frames)
        transport.protocol.data_received(data)
        rig.loop.run()
        return transport

    return send


def test_a_client_that_says_goodbye_right_after_a_message_hears_goodbye(session):
    transport = session(text("input_audio_buffer.commit"), CLOSE)
    assert transport.data.endswith(CLOSE.serialize(mask=False))
    assert transport.closed


def test_a_turn_of_a_key_that_has_ended_is_not_transcribed(session, rig):
    rig.snapshot()
    transport = session(*speech())
    assert b"input_audio_transcription.failed" in transport.data
    assert b"unknown or revoked" in transport.data
    assert not rig.loop.dialled


def test_a_turn_of_a_key_that_goes_on_is_transcribed(session, rig):
    session(*speech())
    assert len(rig.loop.dialled) == 1
