"""Nodes of one site that reach each other: real processes, with control and without."""

import contextlib
import json
import os
import socket
import threading

import pytest

from e2e.conftest import Site, free_port
from e2e.test_joined import Edge, answers, nodes_that_serve
from littoral.testing.gguf import write

pytestmark = pytest.mark.timeout(180)
ECHO = {
    "kind": "Deployment",
    "metadata": {"name": "echo"},
    "spec": {"engine": "fake", "model": "echo", "where": {"labels": {"runs": "echo"}}},
}
SIZE = 12 << 20
EDGE_ONLY = {
    "kind": "Project",
    "metadata": {"name": "default"},
    "spec": {"residency": "edge-only"},
}


def joined(cloud: Site, edge: Edge, **labels: str) -> Edge:
    body = {"site": "default", "labels": labels, "tier": "edge", "minutes": 15}
    _, invited = cloud.request("POST", "/api/v1/invitations", body)
    done = edge.run("node", "join", invited["url"], "--token", invited["token"], "--no-start")
    assert done.returncode == 0, done.stderr
    began = edge.start()
    assert began.returncode == 0, began.stderr
    return edge


def waiting(cloud: Site, name: str) -> int | None:
    """Rows that a node keeps for control, as control knows it; None while it is not connected."""
    try:
        _, found = cloud.request("GET", "/api/v1/nodes")
    except OSError:
        return None
    (node,) = [node for node in found["items"] if node["name"] == name]
    away = node["state"] != "connected" or node["status"] is None
    return None if away else node["status"]["outbox_depth"]


def test_a_node_uses_a_neighbours_engine_without_control_and_each_request_is_booked_once(
    cloud, tmp_path
):
    assert cloud.request("POST", "/api/v1/apply", {"documents": [ECHO, EDGE_ONLY]})[0] == 200
    door = {"peer_listen": f"127.0.0.1:{free_port()}"}
    key = cloud.load_key()
    runs = Edge(tmp_path / "runs", key, name="runs", **door)
    asks = Edge(tmp_path / "asks", key, name="asks")
    try:
        joined(cloud, runs, runs="echo")
        joined(cloud, asks)
        cloud.wait_for(lambda: "runs" in nodes_that_serve(cloud), "the engine at one edge")
        cloud.wait_for(lambda: answers(asks), "the direct way: no other one is allowed")
        assert "; via=peer; " in asks.ask()[0]["x-littoral-route"]
        cloud.stop()
        headers, said = asks.ask()
        assert said == "echo: hello"
        assert "; via=peer; " in headers["x-littoral-route"]
        assert headers["x-littoral-offline"] == "true"
        asks.kill()
        assert asks.start().returncode == 0
        cloud.wait_for(lambda: answers(asks), "the direct way after a start without control")
        cloud.start()
        cloud.wait_for(lambda: waiting(cloud, "asks") == 0, "all records to be at control")
        booked = [row["request"] for row in cloud.ledger()]
        assert booked.count(headers["x-request-id"]) == 1
        assert len(booked) == len(set(booked))
        told = json.loads((asks.folder / "peers.json").read_text())
        assert list(told.values()) == [door["peer_listen"]]
    finally:
        runs.run("down")
        asks.run("down")


class Line:
    """The line to control's public listener: it counts what comes down."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.bytes = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                self._open += [near, far]
                for one, other, down in ((near, far, 0), (far, near, 1)):
                    copy = threading.Thread(target=self._copy, args=(one, other, down), daemon=True)
                    copy.start()

    def _copy(self, one: socket.socket, other: socket.socket, down: int) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                self.bytes += down * len(data)
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in (self._listener, *self._open):
            each.close()


@pytest.fixture
def metered(make_site):
    public = free_port()
    line = Line(public)
    environ = {
        "LITTORAL_NODES_LISTEN": f"127.0.0.1:{public}",
        "LITTORAL_NODES_URL": f"https://127.0.0.1:{line.address}",
        "LITTORAL_SESSION_LISTEN": f"127.0.0.1:{free_port()}",
    }
    yield make_site(environ=environ), line
    line.close()


@pytest.mark.slow
def test_three_nodes_of_a_site_take_a_file_over_the_line_once(metered, tmp_path):
    cloud, line = metered
    weights = write(tmp_path / "big.gguf")
    weights.write_bytes(weights.read_bytes() + os.urandom(SIZE - weights.stat().st_size))
    spec = {"model": "big", "context": 512, "slots": 1, "where": {"tier": "edge"}}
    versions = [{"name": "1", "source": f"file:{weights}"}]
    documents = [
        {"kind": "Model", "metadata": {"name": "big"}, "spec": {"versions": versions}},
        {
            "kind": "Site",
            "metadata": {"name": "default"},
            "spec": {"bandwidth": {"kbit_s": 16_000}},
        },
        {"kind": "Deployment", "metadata": {"name": "chat"}, "spec": spec},
    ]
    edges = [
        Edge(
            tmp_path / name,
            cloud.key,
            name=name,
            peer_listen=f"127.0.0.1:{free_port()}",
        )
        for name in ("one", "two", "three")
    ]
    try:
        for edge in edges:
            joined(cloud, edge)
        before = line.bytes
        status, said = cloud.request("POST", "/api/v1/apply", {"documents": documents})
        assert status == 200, said
        assert cloud.request("POST", "/api/v1/models/big/pull", {})[0] == 202
        cloud.wait_for(
            lambda: all(list(each.folder.glob("blobs/sha256/*/*")) for each in edges),
            "the weights at all nodes",
            timeout_s=120,
        )
        assert line.bytes - before <= 1.05 * SIZE
    finally:
        for edge in edges:
            edge.run("down")
