"""The real gateway process on real sockets, in front of a small engine written here."""

import asyncio
import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from littoral.app.codec import pack, unpack
from littoral.domain import flight
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.ids import DeploymentName, EndpointId, NodeId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.session import Endpoints, Freed, Settled, Tables
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Tokens
from littoral.trust.key import mac_of, mint

PEPPER = b"p" * 32
SLOTS = 64
RUN = """
import mmap, socket, sys
from littoral.app.codec import pack, unpack
from littoral.app.system import SystemClock, SystemEntropy
from littoral.gateway.wire.loop import run; from littoral.testing.quota import quota_table
listener, link = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])
file = open(sys.argv[3], "r+b"); table = memoryview(mmap.mmap(file.fileno(), 0))
sys.exit(run(listener=listener, link=link, flight=table, quota=quota_table(), node="here",
             control_socket=sys.argv[4], pack=pack, unpack=unpack, clock=SystemClock(),
             entropy=SystemEntropy(), drain_s=30.0))
"""
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
STREAM = BODY[:-1] + b',"stream":true}'
REPLY = b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
END = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4}}\n\ndata: [DONE]\n\n'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class MockEngine:
    """Answers with ``reply``, or streams; ``cut`` ends after so many events, ``hold`` never."""

    def __init__(self):
        self.seen, self.open, self.cut, self.hold = 0, 0, 0, False
        self.port, self.reply = 0, REPLY
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def _run(self):
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _talk(self, reader, writer):
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].split()[0])
                body = await reader.readexactly(size)
                self.seen += 1
                if not await self._reply(reader, writer, json.loads(body)):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _reply(self, reader, writer, body):
        if not body.get("stream"):
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(self.reply) + self.reply)
            return True
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(self.cut or 4):
            writer.write(chunk(EVENT))
        await writer.drain()
        if self.cut:
            return False
        if self.hold:
            await reader.read(1)
            return False
        writer.write(chunk(END) + b"0\r\n\r\n")
        return True


class Process:
    """A gateway, and the node's end of its link."""

    def __init__(self, folder: Path, engine_port: int) -> None:
        self.table = folder / "flight"
        self.table.write_bytes(bytes(flight.SLOT_BYTES * SLOTS))
        self.control = str(folder / "c.sock")
        minted = mint(b"n" * 48)
        self.key = minted.text
        self.grant = KeyGrant(
            id=minted.id,
            mac=mac_of(minted.digest, pepper=PEPPER),
            project=ProjectId("p"),
            scopes=("infer",),
        )
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self.link, theirs = socket.socketpair()
        self.link.settimeout(10)
        fds = (listener.fileno(), theirs.fileno())
        command = [sys.executable, "-c", RUN, *map(str, fds), str(self.table), self.control]
        self.process = subprocess.Popen(command, pass_fds=fds, env=dict(os.environ))
        listener.close()
        theirs.close()
        self._rest = b""
        self.feed(self.grant)
        self.send(Endpoints(endpoints=(self.endpoint(engine_port),)))
        self.wait_until(lambda: self.get("/readyz").startswith(b"HTTP/1.1 200"))

    def feed(self, *grants):
        assignment = Assignment(
            name=DeploymentName("d"), revision=1, serves="m", engine="fake", model="m"
        )
        snapshot = Snapshot(
            epoch=1,
            version=1,
            issued_us=Micros(0),
            node=NodeId("nd"),
            pepper=PEPPER,
            keys=grants,
            assignments=(assignment,),
        )
        self.send(Tables(snapshot=snapshot))

    def endpoint(self, port):
        return Endpoint(
            id=EndpointId("e"),
            deployment=DeploymentName("d"),
            serves="m",
            engine="fake",
            state="ready",
            address=Address(host="127.0.0.1", port=port),
            slots=4,
            context=Tokens(4096),
            capabilities=("chat", "completions", "stream"),
        )

    def send(self, frame):
        data = pack(frame)
        self.link.sendall(len(data).to_bytes(4, "big") + data)

    def settled(self, count):
        """Wait for this many settled slots, as records; give the slots back."""
        slots = []
        with self.table.open("r+b") as file, mmap.mmap(file.fileno(), 0) as table:
            buffer = memoryview(table)
            while len(slots) < count:
                self._rest += self.link.recv(65536)
                while len(self._rest) >= 4:
                    end = 4 + int.from_bytes(self._rest[:4], "big")
                    if len(self._rest) < end:
                        break
                    frame = unpack(self._rest[4:end])
                    slots += frame.slots if isinstance(frame, Settled) else ()
                    self._rest = self._rest[end:]
            found = [flight.read(buffer, slot) for slot in slots]
            buffer.release()
        self.send(Freed(slots=tuple(slots)))
        return [each.record for each in found]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def post(self, body=BODY, *, extra="", key=None):
        lines = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        lines += f"Authorization: Bearer {key or self.key}\r\n{extra}"
        return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def get(self, path, *, method="GET", extra=""):
        line = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n"
        with contextlib.suppress(OSError):
            return self.talk(line.encode())
        return b""

    def talk(self, raw, until=b""):
        """Send, and read to the end or to ``until``."""
        data = b""
        with self.connect() as s:
            s.sendall(raw)
            while part := s.recv(65536):
                data += part
                if until and until in data:
                    break
        return data

    def wait_until(self, good):
        deadline = time.monotonic() + 10
        while not good():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            threading.Event().wait(0.02)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(10)
        self.link.close()
        return status


@pytest.fixture
def engine():
    engine = MockEngine()
    yield engine
    engine.close()


@pytest.fixture
def gateway(tmp_path, engine):
    gateway = Process(tmp_path, engine.port)
    yield gateway
    gateway.stop(signal.SIGKILL)


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
