"""What is refused before an engine sees it; every vector whole, and byte by byte."""

import pytest

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
PIECE = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def request(*headers, line="POST /v1/chat/completions HTTP/1.1", length=None, body=BODY, host="x"):
    lines = [line, *([f"Host: {host}"] if host else []), "Authorization: Bearer KEY", *headers]
    if length is None:
        lines.append(f"Content-Length: {len(body)}")
    elif length:
        lines.append(length)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


CHUNKED = "Transfer-Encoding: chunked"
REFUSED = {
    "length and chunked": (request(CHUNKED, body=PIECE), 400),
    "chunked and length": (request("Content-Length: 5", length=CHUNKED, body=PIECE), 400),
    "two lengths": (request("Content-Length: 5"), 400),
    "two equal lengths": (request(f"Content-Length: {len(BODY)}"), 400),
    "a signed length": (request(length="Content-Length: +57"), 400),
    "a negative length": (request(length="Content-Length: -1"), 400),
    "a hexadecimal length": (request(length="Content-Length: 0x39"), 400),
    "a list of lengths": (request(length="Content-Length: 57, 57"), 400),
    "an empty length": (request(length="Content-Length: "), 400),
    "a length beyond 64 bit": (request(length="Content-Length: 99999999999999999999"), 400),
    "gzip, chunked": (request(length="Transfer-Encoding: gzip, chunked", body=PIECE), 400),
    "xchunked": (request(length="Transfer-Encoding: xchunked", body=PIECE), 400),
    "two transfer codings": (request(CHUNKED, length=CHUNKED, body=PIECE), 400),
    "chunked in HTTP/1.0": (
        request(line="POST /v1/chat/completions HTTP/1.0", length=CHUNKED, body=PIECE),
        400,
    ),
    "a chunk of 2^65": (request(length=CHUNKED, body=b"20000000000000000\r\n"), 400),
    "a bare LF": (request().replace(b"\r\n", b"\n"), 400),
    "a space before the colon": (request("X-A : b"), 400),
    "a folded header": (request("X-A: b\r\n c"), 400),
    "NUL in a header": (request("X-A: \0"), 400),
    "no host": (request(host=""), 400),
    "two hosts": (request("Host: y"), 400),
    "two keys": (request("Authorization: Bearer other"), 400),
    "keys that differ": (request("X-Api-Key: other"), 400),
    "a key that is not ASCII": (request("X-Api-Key: \xe9"), 400),
    "HTTP/2.0": (request(line="POST /v1/chat/completions HTTP/2.0"), 505),
    "HTTP/1.0": (request(line="POST /v1/chat/completions HTTP/1.0"), 505),
    "an absolute target": (request(line="POST http://x/v1/chat/completions HTTP/1.1"), 400),
    "a fragment": (request(line="POST /v1/chat/completions#x HTTP/1.1"), 400),
    "an upgrade": (request("Connection: Upgrade", "Upgrade: h2c"), 501),
    "CONNECT": (request(line="CONNECT x:80 HTTP/1.1", body=b""), 400),
    "an unknown method": (request(line="BREW /v1/chat/completions HTTP/1.1"), 400),
    "a 17 KiB header": (request("X-A: " + "a" * 17000), 431),
    "65 headers": (request(*["X-A: b"] * 65), 431),
    "a 5 KiB target": (request(line=f"POST /{'a' * 5000} HTTP/1.1"), 431),
    "5 MiB announced": (request(length="Content-Length: 5242880", body=b""), 413),
    "2^63-1 announced": (request(length="Content-Length: 9223372036854775807", body=b""), 413),
    "a gzipped body": (request("Content-Encoding: gzip"), 415),
    "another expectation": (request("Expect: tea"), 417),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "the h2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "the PROXY line": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("piece", [0, 1])
def test_it_is_refused_closed_and_never_forwarded(rig, name, piece):
    raw, status = REFUSED[name]
    raw = raw.replace(b"KEY", rig.key.encode())
    client, transport = rig.client()
    for at in range(0, len(raw), piece or len(raw)):
        if not transport.closed:
            client.data_received(raw[at : at + (piece or len(raw))])
    rig.loop.run()
    assert transport.data.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in transport.data
    assert transport.closed
    assert not rig.loop.dialled
    assert rig.records() == []


ACCEPTED = {
    "chunked": request(length=CHUNKED, body=PIECE),
    "a trailer that claims another key": request(
        length=CHUNKED, body=PIECE[:-2] + b"Authorization: Bearer wrong\r\n\r\n"
    ),
    "capitals": request().replace(b"Authorization", b"AUTHORIZATION"),
    "the same key twice, in both headers": request("X-Api-Key: KEY"),
    "null for optional fields": request(
        body=BODY[:-1] + b',"max_tokens":null,"stream":null,"stop":null,"temperature":null}'
    ),
    "Chinese": request(body=BODY.replace(b"hi", "你好".encode())),
    "an escaped emoji": request(body=BODY.replace(b"hi", b"\\ud83d\\ude00")),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("piece", [0, 1])
def test_it_is_served(rig, kit, name, piece):
    raw = ACCEPTED[name].replace(b"KEY", rig.key.encode())
    client, transport = rig.client()
    for at in range(0, len(raw), piece or len(raw)):
        client.data_received(raw[at : at + (piece or len(raw))])
    rig.loop.run()
    rig.loop.dialled[-1].protocol.data_received(kit.answer())
    assert transport.data.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("endless", ["X: y\r\n" * 1000, "x" * 6000, ""])
def test_what_comes_with_a_body_is_bounded(rig, kit, endless):
    client, transport = rig.client()
    client.data_received(rig.post(b"").replace(b"Content-Length: 0", CHUNKED.encode()))
    client.data_received(kit.chunk(kit.body) + b"0\r\n")
    for _ in range(8):
        if not transport.closed:
            client.data_received(endless.encode())
    assert transport.closed == bool(endless)
    assert transport.data.startswith(b"HTTP/1.1 431 " if endless else b"")


def test_two_requests_in_one_read_are_answered_in_order(rig, kit):
    client, transport = rig.client()
    client.data_received(rig.post() + rig.post(kit.body.replace(b"hi", b"second")))
    rig.loop.run()
    (engine,) = rig.loop.dialled
    assert b"second" not in engine.data
    engine.protocol.data_received(kit.answer())
    rig.loop.run()
    assert b"second" in engine.data
    engine.protocol.data_received(kit.answer())
    assert transport.data.count(b"HTTP/1.1 200") == 2
    assert rig.leaks() == (0, 0, 0)


def test_bytes_behind_a_request_wait_and_too_many_stop_the_reading(rig, kit):
    client, transport, engine = rig.ask()
    client.data_received(rig.post())
    client.data_received(b"G")
    assert not transport.paused
    client.data_received(b"x" * 70000)
    assert transport.paused
    engine.protocol.data_received(kit.answer())
    rig.loop.run()
    engine.protocol.data_received(kit.answer())
    rig.loop.run()
    assert transport.data.count(b"HTTP/1.1 200") == 2
    assert transport.data.count(b"HTTP/1.1 400") == 1
    assert transport.closed


def test_bad_bytes_behind_a_good_request_are_refused_after_its_answer(rig, kit):
    client, transport = rig.client()
    client.data_received(rig.post() + b"nonsense\r\n\r\n")
    rig.loop.run()
    assert transport.data == b""
    rig.loop.dialled[-1].protocol.data_received(kit.answer())
    rig.loop.run()
    assert transport.data.index(b"HTTP/1.1 200") < transport.data.index(b"HTTP/1.1 400")
    assert transport.closed


def test_a_client_that_waits_for_leave_gets_it(rig):
    client, transport = rig.client()
    client.data_received(rig.post(extra="Expect: 100-continue\r\n").partition(BODY)[0])
    assert transport.data == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("sent", ["head", "body"])
def test_a_slow_head_or_body_is_a_408(rig, sent):
    client, transport = rig.client()
    client.data_received(rig.post()[: 40 if sent == "head" else -5])
    rig.clock.advance(31)
    rig.worker.wheel.turn(rig.clock.now())
    for _ in range(10):
        rig.worker.wheel.turn(rig.clock.now())
    assert transport.data.startswith(b"HTTP/1.1 408")
    assert transport.closed


def test_an_idle_connection_is_closed_without_a_word(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    sent = transport.data
    client.expire(rig.clock.now() + 76)
    assert transport.closed
    assert transport.data == sent
