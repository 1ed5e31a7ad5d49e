"""A whole gateway worker on fake transports: no sockets, no waiting, settable time."""

import json
from collections import deque

import pytest

from littoral.domain import flight
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.project import KeyGrant
from littoral.domain.response import StoredResponse
from littoral.domain.session import Heard, Look, Shelved
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros, Tokens
from littoral.gateway.quota import Quotas
from littoral.gateway.settlement import Flights
from littoral.gateway.wire.batch import Batch
from littoral.gateway.wire.server import Client
from littoral.gateway.wire.worker import Worker
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.quota import bound_whole, quota_table
from littoral.trust.key import mac_of, mint

PEPPER = b"p" * 32
SLOTS = 16
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
REPLY = b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'


def event(text: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


class FakeTransport:
    """Keeps what is written; the test plays the peer."""

    def __init__(self, protocol=None):
        self.protocol = protocol
        self.data = b""
        self.closed = False
        self.paused = False
        self.unsent = 0

    def write(self, data):
        assert not self.closed, "written after close"
        self.data += data

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def set_write_buffer_limits(self, high, low):
        self.limits = (high, low)

    def get_write_buffer_size(self):
        return self.unsent

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


class FakeLoop:
    """Runs callbacks and tasks only when told; connections are made in memory."""

    def __init__(self):
        self.soon = deque()
        self.later = []
        self.dialled = []
        self.refusing = set()
        self.errors = []

    def call_soon(self, callback, *args):
        if getattr(callback, "__func__", None) is Batch.flush:
            callback()  # each turn of this loop has one write
        else:
            self.soon.append((callback, args))

    def call_later(self, delay, callback, *args):
        self.later.append((delay, callback, args))

    def call_exception_handler(self, context):
        self.errors.append(context["exception"])

    def create_task(self, work):
        return FakeTask(self, work)

    async def create_connection(self, factory, _host, port):
        if port in self.refusing:
            raise ConnectionRefusedError(111, "Connection refused")
        protocol = factory()
        transport = FakeTransport(protocol)
        transport.port = port
        self.dialled.append(transport)
        protocol.connection_made(transport)

    async def create_unix_connection(self, factory, path):
        if path in self.refusing:
            raise ConnectionRefusedError(111, "Connection refused")
        await self.create_connection(factory, path, path)

    def run(self):
        while self.soon:
            callback, args = self.soon.popleft()
            callback(*args)


class FakeTask:
    def __init__(self, loop, work):
        self.work, self.ended = work, False
        loop.soon.append((self.step, ()))

    def step(self):
        if not self.ended:
            self.ended = True
            with pytest.raises(StopIteration):
                self.work.send(None)

    def done(self):
        return self.ended

    def cancel(self):
        if not self.ended:
            self.ended = True
            self.work.close()

    def add_done_callback(self, callback):
        """Tasks end within their step."""


class Rig:
    """A worker with one key and as many endpoints as ports are given."""

    def __init__(self, *ports, rate=None, limits=None, failpoints=None, **grant):
        self.loop = FakeLoop()
        self.clock = SettableClock()
        self.clock.advance(100.0)
        self.table = bytearray(flight.SLOT_BYTES * SLOTS)
        self.quota = quota_table()
        self.worker = Worker(
            self.loop,
            clock=self.clock,
            entropy=SeededEntropy(),
            flights=Flights(memoryview(self.table)),
            quotas=Quotas(self.quota),
            node="here",
            control_socket="/control",
            failpoints=failpoints,
        )
        minted = mint(b"n" * 48)
        self.key = minted.text
        mac = mac_of(minted.digest, pepper=PEPPER)
        fields = {"project": ProjectId("p"), "scopes": ("infer",)}
        self.limits = dict(limits or {})
        if rate:
            self.limits[f"key:{minted.id}"] = Limits(requests_per_minute=rate)
        self.grant = KeyGrant(id=minted.id, mac=mac, **{**fields, **grant})
        self.snapshot(self.grant)
        self.endpoints(*map(self.endpoint, ports))

    def snapshot(self, *grants, serves=("m",), counted=True):
        assignments = tuple(
            Assignment(name=DeploymentName(n), revision=1, serves=n, engine="fake", model=n)
            for n in serves
        )
        rows = {name: row for row, name in enumerate(self.limits) if counted}
        bound_whole(self.quota, self.limits, rows)
        self.worker.source.take_snapshot(
            Snapshot(
                epoch=1,
                version=1,
                issued_us=Micros(1_000_000),
                node=NodeId("nd"),
                pepper=PEPPER,
                keys=grants,
                assignments=assignments,
                limits=self.limits,
            ),
            rows,
        )

    def share(self, **settings):
        """Give the key's project settings."""
        row = self.worker.source.tables.keys[self.grant.id]
        row.share(TrafficGrant(project=self.grant.project, **settings))

    def endpoint(self, port, **fields):
        given = {
            "id": EndpointId(f"e{port}"),
            "deployment": DeploymentName("d"),
            "serves": "m",
            "engine": "fake",
            "state": "ready",
            "address": Address(host="127.0.0.1", port=port),
            "engine_model": "inner",
            "slots": 4,
            "context": Tokens(4096),
            "capabilities": ("chat", "completions", "stream", "tools"),
            "price_in": 1.0,
            "price_out": 2.0,
        }
        return Endpoint(**{**given, **fields})

    def endpoints(self, *each):
        self.worker.source.take_endpoints(each)

    def client(self):
        client = Client(self.worker)
        transport = FakeTransport(client)
        client.connection_made(transport)
        return client, transport

    def post(self, body=BODY, *, path="/v1/chat/completions", key=None, extra=""):
        lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key or self.key}\r\n"
        return f"{lines}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def ask(self, raw=None):
        """Send a request on a new connection; client, its transport, and the engine's transport."""
        client, transport = self.client()
        client.data_received(self.post() if raw is None else raw)
        self.loop.run()
        return client, transport, self.loop.dialled[-1] if self.loop.dialled else None

    def records(self):
        """Every slot that is not free, as the node would book it."""
        found = (flight.read(self.table, slot) for slot in range(SLOTS))
        return [each for each in found if each is not None]

    def book(self):
        """Be the node: free what is settled."""
        self.worker.flights.free(self.worker.flights.report())

    def leaks(self):
        """What must be zero when nothing is under way."""
        self.book()
        loads = sum(place.in_flight for place in self.worker.source.places())
        return self.worker.in_flight, loads, SLOTS - self.worker.flights.idle


def answer(body=REPLY, *, status="200 OK", extra=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def unchunked(raw):
    """Head and payload of a chunked answer, and whether it ended with the last chunk."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    payload = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return head, payload, True
        payload += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return head, payload, False


KEPT = b'{"id":"resp_1","status":"completed","error":null,"output":[]}'
WISH = {"model": "m", "input": "hi"}


def stored(**fields):
    given = {
        "id": "resp_1",
        "project": ProjectId("p"),
        "key": KeyId("k"),
        "created_us": Micros(1),
        "expires_us": Micros(2),
        "status": "completed",
        "body": KEPT,
        "input": b'[{"id":"a","type":"message"},{"id":"b","type":"message"}]',
    }
    return StoredResponse(**{**given, **fields})


def follows(frame):
    return isinstance(frame, Look) and frame.act == "follow"


class Node:
    """The far end of the link: keeps what is asked and answers when told."""

    def __init__(self, rig):
        self.shelf = rig.worker.shelf
        self.asked = []
        self.shelf.send = self.asked.append

    def answer(self, *responses, **refusal):
        number = self.asked[-1].number
        self.shelf.take(Shelved(number=number, responses=responses, **refusal))

    def hear(self, events=b"", *, ended=False):
        follow = next(each for each in reversed(self.asked) if follows(each))
        self.shelf.take(Heard(number=follow.number, events=events, ended=ended))


def status_of(transport):
    return int(transport.data.split()[1]) if transport.data else 0


def body_of(transport):
    return json.loads(transport.data.partition(b"\r\n\r\n")[2])


def said(text="yes"):
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    return json.dumps(body).encode()


@pytest.fixture
def node(rig):
    return Node(rig)


@pytest.fixture
def ask(rig):
    def ask(method="POST", path="/v1/responses", **fields):
        body = json.dumps({**WISH, **fields}).encode()
        raw = rig.post(body, path=path).replace(b"POST", method.encode(), 1)
        return rig.ask(raw)

    return ask


@pytest.fixture
def rig():
    return Rig(1)


@pytest.fixture
def make():
    return Rig


@pytest.fixture
def kit():
    """The helpers above, for tests that cannot import a sibling."""

    class Kit:
        body, reply, usage, done, stream_head = BODY, REPLY, USAGE, DONE, STREAM_HEAD
        slots, pepper, wish = SLOTS, PEPPER, WISH
        event, answer, chunk, unchunked = map(staticmethod, (event, answer, chunk, unchunked))
        stored, follows, status_of = map(staticmethod, (stored, follows, status_of))
        body_of, said, node = staticmethod(body_of), staticmethod(said), Node

    return Kit
