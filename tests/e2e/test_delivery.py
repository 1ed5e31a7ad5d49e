"""Delivery between real processes: a joined machine gets weights, then a delta, over real TLS."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import PACKAGES, Site, free_port
from littoral.testing.gguf import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CHANGED = 30_000


class Edge:
    """A machine that joins a site by the token that people are shown."""

    def __init__(self, cloud: Site, folder: Path) -> None:
        self.folder = folder
        body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
        _, invited = cloud.request("POST", "/api/v1/invitations", body)
        command = [sys.executable, "-m", "littoral", "node", "join", invited["url"]]
        command += ["--token", invited["token"], "--data-dir", str(folder)]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
        self.process = subprocess.Popen(
            [*command, "--port", str(free_port())],
            env=environ | {"PYTHONPATH": PACKAGES},
            stdin=subprocess.DEVNULL,
        )

    def has(self, count: int) -> bool:
        return len(list(self.folder.glob("blobs/sha256/*/*"))) == count

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def edge(cloud: Site, tmp_path: Path) -> Iterator[Edge]:
    machine = Edge(cloud, tmp_path / "edge")
    yield machine
    machine.stop()


def declare(cloud: Site, *paths: Path) -> None:
    """A model whose versions are these files, each made from the one before, for every node."""
    versions = [
        {"name": str(at), "source": f"file:{path}", **({"parent": str(at - 1)} if at else {})}
        for at, path in enumerate(paths)
    ]
    model = {"kind": "Model", "metadata": {"name": "tiny"}, "spec": {"versions": versions}}
    spec = {"model": "tiny", "context": 512, "slots": 1, "where": {}, "rollout": {"minutes": 0}}
    chat = {"kind": "Deployment", "metadata": {"name": "chat"}, "spec": spec}
    status, said = cloud.request("POST", "/api/v1/apply", {"documents": [model, chat]})
    assert status == 200, said
    assert cloud.request("POST", "/api/v1/models/tiny/pull", {})[0] == 202


def told(cloud: Site, words: str) -> bool:
    _, events = cloud.request("GET", "/api/v1/events")
    return any(re.search(words, item["event"]["message"]) for item in events["items"])


def test_a_joined_machine_gets_weights_and_then_only_what_changed(
    cloud: Site, edge: Edge, tmp_path: Path
):
    old = write(tmp_path / "one.gguf")
    data = bytearray(old.read_bytes())
    data[-CHANGED:] = bytes(value ^ 1 for value in data[-CHANGED:])
    new = tmp_path / "two.gguf"
    new.write_bytes(data)
    declare(cloud, old)
    cloud.wait_for(lambda: edge.has(1), "the weights at the edge", timeout_s=60)
    declare(cloud, old, new)
    cloud.wait_for(
        lambda: told(cloud, r"is here after .* \(a delta of \d+ bytes\)"),
        "the new version by its delta",
        timeout_s=60,
    )
    _, rollouts = cloud.request("GET", "/api/v1/rollouts")
    (rollout,) = rollouts["items"]
    assert (rollout["old"], rollout["new"]) == ("tiny@0", "tiny@1")
