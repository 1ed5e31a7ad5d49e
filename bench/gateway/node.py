"""A small node: feeds one gateway and books what it settles, as the real one does.

    node.py PORT ENGINE_PORT [COMMAND PREFIX OF THE GATEWAY...]

Prints one JSON line with the key, the port and both pids; ends with its standard input.
"""

import contextlib
import json
import mmap
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import anyio

from littoral.app.codec import pack, unpack
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.flight import SLOT_BYTES, read
from littoral.domain.ids import DeploymentName, EndpointId, NodeId, ProjectId
from littoral.domain.limits import NO_LIMITS, Limits, limit_ids
from littoral.domain.node import Event
from littoral.domain.outbox import Mark
from littoral.domain.project import KeyGrant
from littoral.domain.session import Endpoints, Frame, Freed, Settled, Tables
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Tokens
from littoral.stores.outbox import SqliteOutbox
from littoral.trust.key import mac_of, mint

HERE = pathlib.Path(__file__).resolve().parent
PEPPER = b"p" * 32
SLOTS = 4096
MODEL = "bench-model"
RATE = Limits(requests_per_minute=60_000_000)
CAPABILITIES = ("chat", "completions", "stream", "tools", "json_schema", "logprobs")


def send(link: socket.socket, frame: Frame) -> None:
    """Write one frame."""
    data = pack(frame)
    link.sendall(len(data).to_bytes(4, "big") + data)


class Frames:
    """Whole frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[Frame]:
        """Every frame that is whole now."""
        self._rest += data
        found = []
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4], "big")
            if len(self._rest) < end:
                break
            found.append(unpack(self._rest[4:end]))
            self._rest = self._rest[end:]
        return found


def keyed(noise: bytes = b"n" * 48) -> tuple[str, KeyGrant]:
    """A key's text, and its grant under ``PEPPER``."""
    minted = mint(noise)
    grant = KeyGrant(
        id=minted.id,
        mac=mac_of(minted.digest, pepper=PEPPER),
        project=ProjectId("bench"),
        scopes=("infer",),
    )
    return minted.text, grant


def tables(
    grants: Sequence[KeyGrant], names: Sequence[str] = (MODEL,), limits: Limits = RATE
) -> Tables:
    """A snapshot with these keys, each with these limits, serving these names."""
    bounds = {limit_ids(grant.id, "", "")[0]: limits for grant in grants}
    assignments = tuple(
        Assignment(name=DeploymentName(n), revision=1, serves=n, engine="openai", model=n)
        for n in names
    )
    snapshot = Snapshot(
        epoch=1,
        version=1,
        issued_us=Micros(1_760_000_000_000_000),
        node=NodeId("nd_bench"),
        pepper=PEPPER,
        keys=tuple(grants),
        assignments=assignments,
        limits={} if limits == NO_LIMITS else bounds,
    )
    return Tables(snapshot=snapshot, rows={name: row for row, name in enumerate(bounds)})


def endpoint(name: str, port: int, *, serves: str = MODEL, slots: int = 4096) -> Endpoint:
    """A ready endpoint on loopback."""
    return Endpoint(
        id=EndpointId(name),
        deployment=DeploymentName(serves),
        serves=serves,
        engine="openai",
        state="ready",
        address=Address(host="127.0.0.1", port=port),
        engine_model=serves,
        slots=slots,
        context=Tokens(32768),
        max_tokens=Tokens(512),
        capabilities=CAPABILITIES,
        price_in=0.5,
        price_out=1.5,
    )


def endpoints(*each: Endpoint) -> Endpoints:
    """The frame."""
    return Endpoints(endpoints=each)


class Gateway:
    """A real gateway process on a port of its own, with the socket to its node."""

    def __init__(self, folder: pathlib.Path, *, port: int = 0, prefix: Sequence[str] = ()) -> None:
        self.flight = folder / "flight"
        if not self.flight.exists():
            self.flight.write_bytes(bytes(SLOT_BYTES * SLOTS))
        self.control = str(folder / "control.sock")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(4096)
        self.port = listener.getsockname()[1]
        self.link, theirs = socket.socketpair()
        fds = (listener.fileno(), theirs.fileno())
        command = [*prefix, sys.executable, str(HERE / "worker.py"), *map(str, fds)]
        command += [str(self.flight), self.control]
        environ = dict(os.environ)
        environ["PYTHONPATH"] = str(HERE.parents[1] / "src")
        self.process = subprocess.Popen(command, pass_fds=fds, env=environ)
        listener.close()
        theirs.close()

    def stop(self) -> int:
        """End it and return its exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        with contextlib.suppress(OSError):
            self.link.close()
        return status


class Quiet:
    """A sink of events that nobody reads."""

    def emit(self, event: Event) -> None:
        """Drop it."""


async def write(link: socket.socket, frame: Frame) -> None:
    """Write one frame on a socket that does not block."""
    data = pack(frame)
    data = len(data).to_bytes(4, "big") + data
    while data:
        await anyio.wait_writable(link)
        data = data[link.send(data) :]


async def book(gateway: Gateway, outbox: SqliteOutbox) -> None:
    """Make records durable and give their slots back, until the gateway ends."""
    frames, link = Frames(), gateway.link
    link.settimeout(0.0)
    with gateway.flight.open("r+b") as file:
        table = memoryview(mmap.mmap(file.fileno(), 0))
    while True:
        await anyio.wait_readable(link)
        data = link.recv(1 << 18)
        if not data:
            return
        settled = [f for f in frames.take(data) if isinstance(f, Settled)]
        slots = tuple(slot for frame in settled for slot in frame.slots)
        flights = [flight for slot in slots if (flight := read(table, slot))]
        if flights:
            upto = await outbox.append([flight.record for flight in flights])
            await outbox.stored("ledger", Mark(seq=upto), safe=upto)
            await write(link, Freed(slots=slots))


async def serve(port: int, engine: int, prefix: Sequence[str]) -> None:
    """Run a gateway in front of the engine until standard input ends."""
    with tempfile.TemporaryDirectory() as place:
        text, grant = keyed()
        gateway = Gateway(pathlib.Path(place), port=port, prefix=prefix)
        send(gateway.link, tables([grant]))
        two = (endpoint(name, engine) for name in ("e1", "e2"))
        send(gateway.link, endpoints(*two))
        facts = {"key": text, "port": gateway.port, "gateway": gateway.process.pid}
        print(json.dumps(facts | {"node": os.getpid()}), flush=True)
        world = {"clock": SystemClock(), "entropy": SystemEntropy(), "sink": Quiet()}
        path = str(pathlib.Path(place) / "outbox.db")
        try:
            async with (
                SqliteOutbox.open(path, failpoints=SystemFailpoints(), **world) as outbox,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(book, gateway, outbox)
                await anyio.wait_readable(sys.stdin)
                tasks.cancel_scope.cancel()
        finally:
            gateway.stop()


if __name__ == "__main__":
    anyio.run(serve, int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
