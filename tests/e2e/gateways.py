"""A real gateway process whose node is the test, and a small engine for it."""

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

    def __init__(self, folder: Path) -> None:
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

    def begin(self, engine_port):
        self.send(Endpoints(endpoints=(self.endpoint(engine_port),)))
        self.feed(self.grant)
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
