"""The real gateway process on real sockets, in front of a small engine written here."""

import signal
import socket
import subprocess
import threading

import pytest

from e2e.gateways import EVENT, REPLY, STREAM, MockEngine, Process, chunk
from littoral.domain import flight


@pytest.fixture
def engine():
    engine = MockEngine()
    yield engine
    engine.close()


@pytest.fixture
def gateway(tmp_path, engine):
    gateway = Process(tmp_path)
    gateway.begin(engine.port)
    yield gateway
    gateway.stop(signal.SIGKILL)


def test_who_comes_before_the_keys_and_models_waits_for_them(tmp_path, engine):
    gateway = Process(tmp_path)
    with gateway.connect() as early:
        early.sendall(gateway.post(extra="Connection: close\r\n"))
        assert gateway.link.recv(4)  # a sign of life: it runs, and knows nothing
        gateway.begin(engine.port)
        assert early.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert gateway.stop() == 0


def test_replies_streams_and_pipelined_requests_are_served_and_booked(gateway):
    data = gateway.talk(gateway.post() + gateway.post(STREAM, extra="Connection: close\r\n"))
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.index(REPLY) < data.index(b"text/event-stream")
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert b'"usage"' not in data.partition(b"text/event-stream")[2]
    records = gateway.settled(2)
    assert [(r.status, r.tokens_in, r.tokens_out) for r in records] == [("ok", 7, 5), ("ok", 7, 4)]
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (
            b"PUT / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0",
            400,
        ),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 501),
    ],
)
def test_smuggling_is_refused_closed_and_unseen_by_the_engine(gateway, engine, raw, status):
    assert gateway.talk(raw).startswith(b"HTTP/1.1 %d " % status)
    assert engine.seen == 0


def test_a_client_that_leaves_stops_the_engine(gateway, engine):
    engine.hold = True
    assert EVENT in gateway.talk(gateway.post(STREAM), until=EVENT)
    gateway.wait_until(lambda: engine.open == 0)
    (record,) = gateway.settled(1)
    assert record.status == "cancelled"
    assert record.estimated
    assert 1 <= record.tokens_out <= 4


def test_an_engine_cut_in_mid_stream_ends_with_an_error_event(gateway, engine):
    engine.cut = 2
    data = gateway.talk(gateway.post(STREAM))
    assert b"[DONE]" not in data
    assert not data.endswith(b"\r\n0\r\n\r\n")
    assert b'data: {"error":{' in data
    (record,) = gateway.settled(1)
    assert (record.status, record.tokens_out) == ("failed", 2)


def test_control_is_relayed_and_its_death_is_said(gateway):
    data = gateway.get("/api/v1/status")
    assert data.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"control_unreachable"' in data
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(gateway.control)
        control.listen()
        control.settimeout(10)
        answer = b"HTTP/1.1 201 Created\r\nX-Of-Control: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        seen = []

        def serve():
            peer, _ = control.accept()
            with peer:
                data = b""
                while not data.endswith(b"0\r\n\r\n"):
                    data += peer.recv(65536)
                seen.append(data)
                peer.sendall(answer + chunk(b"yes") + b"0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        raw = (
            b"PUT /api/v1/x?y=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer k"
        )
        raw += b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"abc") + b"0\r\n\r\n"
        data = gateway.talk(raw)
        thread.join()
    assert data.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"X-Of-Control: 1\r\n" in data
    assert data.endswith(b"3\r\nyes\r\n0\r\n\r\n")
    assert seen[0].startswith(b"PUT /api/v1/x?y=1 HTTP/1.1\r\nhost: control\r\n")
    assert b"Authorization: Bearer k\r\n" in seen[0]
    assert seen[0].endswith(b"3\r\nabc\r\n0\r\n\r\n")


def test_a_revoked_key_ends_its_running_stream(gateway, engine):
    engine.hold = True
    with gateway.connect() as s:
        s.sendall(gateway.post(STREAM))
        data = b""
        while EVENT not in data:
            data += s.recv(65536)
        gateway.feed()
        while part := s.recv(65536):
            data += part
    assert b"revoked" in data
    assert gateway.get("/v1/models", extra=f"x-api-key: {gateway.key}\r\n").startswith(
        b"HTTP/1.1 401"
    )


def test_sigterm_lets_what_runs_end_and_nothing_new_in(gateway, engine):
    engine.hold = True
    with gateway.connect() as s:
        s.sendall(gateway.post(STREAM))
        data = b""
        while EVENT not in data:
            data += s.recv(65536)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_until(lambda: gateway.get("/healthz") == b"")
        assert gateway.process.poll() is None
    assert gateway.process.wait(10) == 0


def test_a_stop_lets_a_slow_reader_have_the_whole_answer(gateway, engine):
    engine.reply = REPLY[:-1] + b',"pad":"%b"}' % (b"x" * 7_000_000)
    with gateway.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(gateway.post())
        data = s.recv(64)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_until(lambda: gateway.get("/healthz") == b"")
        with pytest.raises(subprocess.TimeoutExpired):
            gateway.process.wait(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        while part := s.recv(1 << 20):
            data += part
    assert data.partition(b"\r\n\r\n")[2] == engine.reply
    assert gateway.process.wait(10) == 0


def test_without_its_node_it_settles_everything_and_ends_with_3(gateway, engine):
    engine.hold = True
    with gateway.connect() as s:
        s.sendall(gateway.post(STREAM))
        data = b""
        while EVENT not in data:
            data += s.recv(65536)
        gateway.link.close()
        while part := s.recv(65536):
            data += part
    with pytest.raises(ConnectionRefusedError):
        gateway.connect()
    assert b'data: {"error":{' in data
    assert gateway.process.wait(10) == 3
    states = gateway.table.read_bytes()[:: flight.SLOT_BYTES]
    assert (states.count(flight.SETTLED), states.count(flight.OPEN)) == (1, 0)
