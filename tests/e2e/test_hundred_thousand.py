"""A hundred thousand usage records, from a disk to the ledger, while every process is killed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from e2e import writer
from e2e.conftest import PACKAGES, Site
from e2e.test_joined import ECHO, Edge, answers, nodes_that_serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
COUNT = 100_000
SEED = 20_261_129


@pytest.fixture
def edge(cloud, tmp_path) -> Iterator[Edge]:
    """A joined edge that has served, and stopped."""
    assert cloud.request("POST", "/api/v1/apply", {"documents": [ECHO]})[0] == 200
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
    _, invited = cloud.request("POST", "/api/v1/invitations", body)
    edge = Edge(tmp_path / "edge", cloud.key)
    joined = edge.run("node", "join", invited["url"], "--token", invited["token"], "--no-start")
    assert joined.returncode == 0, joined.stderr
    assert edge.start().returncode == 0
    cloud.wait_for(lambda: "pier-4" in nodes_that_serve(cloud), "the engine at the edge")
    cloud.wait_for(lambda: answers(edge), "an answer at the edge")
    edge.run("down")
    yield edge
    edge.run("down")


def filled(path: Path, chance: random.Random) -> int:
    """Write all records by processes that are killed at any moment; returns how many were."""
    done = kills = 0
    environ = {**os.environ, "PYTHONPATH": f"{PACKAGES}{os.pathsep}{Path(PACKAGES).parent}/tests"}
    while done < COUNT:
        command = [sys.executable, writer.__file__, str(path), str(done), str(COUNT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
            doom = threading.Timer(1.0 + 3.0 * chance.random(), process.kill)
            doom.start()
            assert process.stdout is not None
            for line in process.stdout:
                done = int(line)
            doom.cancel()
        kills += process.returncode == -signal.SIGKILL
    return kills


def stored(cloud: Site) -> int:
    """How many of the records the cloud's ledger has now; -1 while it cannot be asked."""
    try:
        status, found = cloud.request("GET", "/api/v1/usage?by=key")
    except (OSError, ValueError):
        return -1
    if status != 200:
        return -1
    return {row["key"]: row["requests"] for row in found["rows"]}.get("k1", 0)


def kill_node(edge: Edge) -> bool:
    """Kill the node's process; its supervisor starts it again."""
    told = json.loads((edge.folder / "run/status.json").read_text())
    pids = [row["pid"] for row in told["processes"] if row["role"] == "node" and row["pid"]]
    with contextlib.suppress(ProcessLookupError):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def drained(cloud: Site, edge: Edge, chance: random.Random) -> int:
    """Kill either end at any moment until all is stored; returns how often."""
    kills, until = 0, time.monotonic() + 900
    while stored(cloud) < COUNT:
        assert time.monotonic() < until, f"{stored(cloud)} records came in 900 s"
        time.sleep(1.0 + 4.0 * chance.random())
        if kills >= 20:
            continue
        if chance.random() < 0.5:
            kills += kill_node(edge)
        else:
            kills += cloud.kill("control") is not None
    return kills


def test_none_is_lost_and_none_is_doubled(cloud, edge):
    chance = random.Random(SEED)
    cloud.stop()
    writers = filled(edge.folder / "outbox.db", chance)
    cloud.start()
    edge.start()
    ends = drained(cloud, edge, chance)
    edge.run("down")
    cloud.stop()
    file = apsw.Connection(str(cloud.data_dir / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
    with contextlib.closing(file):
        query = (
            "select count(*), count(distinct request), sum(tokens_out) from line where key = 'k1'"
        )
        (found,) = file.execute(query)
    print(f"{writers} writers and {ends} nodes or controls killed: {found}")
    assert found == (COUNT, COUNT, COUNT * (COUNT - 1) // 2)
    assert writers + ends >= 5
