"""Requests from node to node: real processes, joined by control's session listener."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from littoral.app.anchors import ANCHORS_FILE
from littoral.app.handed import line_for
from littoral.app.settings import Settings

PACKAGES = str(Path(__file__).resolve().parents[2] / "src")
HI = [{"role": "user", "content": "hi there"}]
NO_ENGINE = "engine.spawned=error@1"


class Edge:
    """A second node of a site, without control: its session goes to the site's socket."""

    def __init__(self, folder: Path, site, *, failpoints: str = "") -> None:
        self.folder, self.site = folder, site
        for name in ("run", "logs"):
            folder.joinpath(name).mkdir(parents=True)
        for name in ("run/session.sock", ANCHORS_FILE):
            folder.joinpath(name).symlink_to(site.data_dir / name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.set_inheritable(True)
        self.port = self.listener.getsockname()[1]
        self.settings = Settings(
            data_dir=str(folder), port=self.port, name="edge", failpoints=failpoints, crash_limit=1
        )
        self.process: subprocess.Popen | None = None
        self.children: dict[str, int] = {}

    def start(self) -> None:
        descriptor = self.listener.fileno()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
        with self.folder.joinpath("logs/node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "littoral", "node"],
                env=environ | {"PYTHONPATH": PACKAGES},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[descriptor],
            )
        self.process.stdin.write(line_for(self.settings, {"listen0": descriptor}))
        self.process.stdin.flush()
        threading.Thread(target=self._hear, args=(self.process.stdout,), daemon=True).start()

    def _hear(self, out) -> None:
        for line in out:
            self.children = json.loads(line)

    def revive(self) -> None:
        """Start it again, if it was killed."""
        if self.process.poll() is not None:
            self.end()
            self.start()

    def stop(self) -> None:
        self.end()
        self.listener.close()

    def end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            process.wait(30)
            process.stdin.close()
            process.stdout.close()

    def cut_power(self) -> None:
        """Kill every process of the node at once, as a power cut does."""
        for pid in (*self.children.values(), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process = None

    def cut_off(self) -> None:
        """Take the way to control away."""
        self.folder.joinpath("run/session.sock").unlink()

    @property
    def id(self) -> str:
        return json.loads(self.folder.joinpath("node.json").read_text())["id"]

    @contextlib.contextmanager
    def open(self, body, *, key: str | None = None):
        with ask(self.port, key or self.site.key, body) as reply:
            yield reply


@contextlib.contextmanager
def ask(port: int, key: str, body):
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        yield connection.getresponse()
    finally:
        connection.close()


def chat(**fields):
    return {"model": "echo", "messages": HI, **fields}


def works(port: int, key: str) -> bool:
    try:
        with ask(port, key, chat(max_tokens=1)) as reply:
            return reply.status == 200
    except OSError:
        return False


@pytest.fixture
def make_edge(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    made: list[Edge] = []

    def make(site, **options) -> Edge:
        made.append(Edge(tmp_path / f"edge{len(made)}", site, **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.mark.timeout(90)
def test_a_client_at_the_cloud_uses_an_engine_at_the_edge(make_site, make_edge):
    site = make_site(environ={"LITTORAL_FAILPOINTS": NO_ENGINE, "LITTORAL_CRASH_LIMIT": "1"})
    edge = make_edge(site)
    site.deploy("echo", engine="fake", model="echo")
    with site.open("POST", "/v1/chat/completions", chat(stream=True)) as reply:
        assert reply.status == 200
        assert reply.headers["x-littoral-route"].startswith(f"{edge.id}/echo@")
        data = reply.read()
    assert data.endswith(b"data: [DONE]\n\n")


@pytest.mark.timeout(90)
def test_a_client_at_the_edge_uses_an_engine_in_the_cloud(make_site, make_edge):
    site = make_site()
    edge = make_edge(site, failpoints=NO_ENGINE)
    site.deploy("echo", engine="fake", model="echo")
    site.wait_for(lambda: works(edge.port, site.key), "the edge to know the cloud's engine")
    with edge.open(chat()) as reply:
        assert reply.status == 200
        assert "; via=relay; " in reply.headers["x-littoral-route"]
        answer = json.loads(reply.read())
    assert answer["usage"]["completion_tokens"] > 0


def test_a_node_that_starts_without_control_answers_from_its_own_disk(make_site, make_edge):
    site = make_site()
    edge = make_edge(site)
    site.deploy("echo", engine="fake", model="echo")
    site.wait_for(lambda: works(edge.port, site.key), "the edge to serve")
    slots = [edge.folder / "snapshot" / name for name in ("a.snap", "b.snap")]
    site.wait_for(lambda: any(slot.exists() for slot in slots), "a snapshot on disk")
    edge.cut_power()
    edge.cut_off()
    edge.start()
    site.wait_for(lambda: works(edge.port, site.key), "the edge to serve alone")
    with edge.open(chat(stream=True)) as reply:
        assert reply.status == 200
        assert reply.headers["x-littoral-route"].startswith("edge/echo@")
        assert reply.read().endswith(b"data: [DONE]\n\n")
    with edge.open(chat(), key="lit-sk-wrong") as reply:
        assert reply.status == 401


SLOW = {"engine": "fake", "model": "echo", "options": {"tpot_ms": 40.0}}
LONG = [{"role": "user", "content": " ".join(["word"] * 200)}]


def rest_of(reply) -> bytes:
    """What still comes, also where it breaks off."""
    try:
        return reply.read()
    except IncompleteRead as broken:
        return broken.partial
    except OSError:
        return b""


def killed(site, edge, victim: str) -> None:
    """``kill -9`` one process of either node, or control."""
    where, role = victim.split("/")
    if where == "site":
        assert site.kill(role) is not None
    elif role == "node":
        edge.process.kill()
    else:
        pid = next(pid for name, pid in edge.children.items() if name.startswith(role))
        os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "victim", ["edge/node", "edge/gateway", "site/control", "site/gateway", "site/node"]
)
def test_whoever_dies_in_the_middle_of_a_stream_the_request_is_booked_once(
    make_site, make_edge, victim
):
    site = make_site(environ={"LITTORAL_FAILPOINTS": NO_ENGINE, "LITTORAL_CRASH_LIMIT": "1"})
    edge = make_edge(site)
    site.deploy("echo", **SLOW)
    key = site.load_key()
    site.wait_for(lambda: works(edge.port, key), "the edge to know the key")

    body = chat(messages=LONG, stream=True)
    with site.open("POST", "/v1/chat/completions", body, key=key) as reply:
        request = reply.headers["x-request-id"]
        first = reply.read(400)
        assert first.count(b"data: ") > 1
        killed(site, edge, victim)
        first += rest_of(reply)
    edge.revive()
    site.wait_for(site.ready, "the site to be whole again")
    rows = [row for row in site.ledger() if row["request"] == request]
    assert len(rows) == 1
    (row,) = rows
    assert 0 < row["tokens_out"] <= first.count(b'"content":') + 1
    assert row["status"] in {"failed", "interrupted"}
    if victim not in {"site/gateway", "site/node"}:
        assert b'"error"' in first
        assert row["tokens_out"] == first.count(b'"content":"') - first.count(b'"content":""')
