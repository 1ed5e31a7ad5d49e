"""``/api/v1/*`` on its way to control and back, on fake transports."""

import json

import pytest

HEAD = "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n{extra}\r\n"


def ask(rig, line="GET /api/v1/keys?x=1", extra="", body=b""):
    client, transport = rig.client()
    client.data_received(HEAD.format(line=line, extra=extra).encode() + body)
    rig.loop.run()
    return client, transport, rig.loop.dialled[-1] if rig.loop.dialled else None


def test_a_get_keeps_its_headers_but_those_of_one_hop(rig):
    _, transport, control = ask(rig, extra="Keep-Alive: 5\r\nX-Mine: 1\r\nX-Request-Id: forged\r\n")
    assert control.data.startswith(b"GET /api/v1/keys?x=1 HTTP/1.1\r\nhost: control\r\n")
    assert b"Authorization: Bearer k\r\n" in control.data
    assert b"X-Mine: 1\r\n" in control.data
    assert b"keep-alive" not in control.data.lower()
    assert b"forged" not in control.data
    control.protocol.data_received(
        b"HTTP/1.1 200 OK\r\nServer: uvicorn\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
    )
    assert transport.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.data.endswith(b"content-length: 2\r\n\r\nok")
    assert b"uvicorn" not in transport.data
    assert control.closed
    assert not transport.closed


def test_an_upload_streams_through_in_its_own_framing(rig):
    client, transport, control = ask(
        rig, "POST /api/v1/apply", "Content-Length: 6\r\nExpect: 100-continue\r\n"
    )
    assert transport.data == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.data_received(b"abc")
    client.data_received(b"def")
    assert control.data.endswith(b"content-length: 6\r\n\r\nabcdef")
    control.protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert b"204 No Content" in transport.data
    assert b"transfer-encoding" not in transport.data


def test_a_reply_that_ends_with_its_connection_is_framed_anew(rig, kit):
    _, transport, control = ask(rig)
    control.protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\npart")
    control.protocol.data_received(b"ly")
    control.protocol.connection_lost(None)
    _, payload, ended = kit.unchunked(transport.data)
    assert payload == b"partly"
    assert ended


def test_the_answer_to_head_has_a_length_and_no_body(rig):
    _, transport, control = ask(rig, "HEAD /api/v1/keys")
    control.protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    assert transport.data.endswith(b"content-length: 99\r\n\r\n")
    assert control.closed


def refused(transport):
    head, _, body = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_nobody_at_the_socket_is_control_unreachable(rig):
    rig.loop.refusing = {"/control"}
    _, transport, _ = ask(rig)
    assert refused(transport) == (503, "control_unreachable")
    assert not transport.closed


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"\x00nonsense\r\n\r\n"])
def test_control_that_dies_before_its_answer_is_unreachable(rig, said):
    _, transport, control = ask(rig)
    if said:
        control.protocol.data_received(said)
    control.protocol.connection_lost(None)
    assert refused(transport) == (503, "control_unreachable")


def test_control_that_dies_within_its_answer_breaks_the_connection(rig):
    _, transport, control = ask(rig)
    control.protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    control.protocol.connection_lost(None)
    assert transport.closed


def test_a_client_that_leaves_ends_the_passage(rig):
    client, _, control = ask(rig)
    client.connection_lost(None)
    assert control.closed


def test_an_upload_over_its_limit_is_refused(rig):
    client, transport, _ = ask(rig, "POST /api/v1/x", "Transfer-Encoding: chunked\r\n")
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    for _ in range(65):
        if not transport.closed:
            client.data_received(piece)
    assert refused(transport) == (413, "too_large")
    assert transport.closed


def test_slow_sides_are_waited_for(rig):
    client, transport, control = ask(rig, "POST /api/v1/x", "Transfer-Encoding: chunked\r\n")
    control.protocol.pause_writing()
    assert transport.paused
    control.protocol.resume_writing()
    assert not transport.paused
    client.pause_writing()
    assert control.paused
    client.resume_writing()
    assert not control.paused


def test_a_passage_behind_a_chat_waits_for_its_turn(rig, kit):
    _, transport, engine = rig.ask(
        rig.post() + HEAD.format(line="GET /api/v1/x", extra="").encode()
    )
    assert len(rig.loop.dialled) == 1
    engine.protocol.data_received(kit.answer())
    rig.loop.run()
    control = rig.loop.dialled[-1]
    assert control.port == "/control"
    control.protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert transport.data.count(b"HTTP/1.1 200") == 2
