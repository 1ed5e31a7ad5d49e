"""A machine that joined: it serves what its site is for, with control or without."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from e2e.conftest import PACKAGES, Site, free_port

pytestmark = pytest.mark.timeout(180)
ECHO = {
    "kind": "Deployment",
    "metadata": {"name": "echo"},
    "spec": {"engine": "fake", "model": "echo", "where": {"tier": "edge"}},
}
FAR = {
    "kind": "Deployment",
    "metadata": {"name": "far"},
    "spec": {"engine": "fake", "model": "echo"},
}


class Edge:
    """A machine of the cluster, run by its commands."""

    def __init__(self, folder: Path, key: str, *, name: str = "pier-4", **settings: str) -> None:
        self.folder = folder
        self.name = name
        self.settings = {f"LITTORAL_{field.upper()}": value for field, value in settings.items()}
        self.port = free_port()
        self._key = key

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
        environ |= {"PYTHONPATH": PACKAGES, "LITTORAL_NAME": self.name, **self.settings}
        command = [sys.executable, "-m", "littoral", *words, "--data-dir", str(self.folder)]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=90, check=False
        )

    def start(self) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--detach", "--port", str(self.port))

    def kill(self) -> None:
        """What a power cut does: every process ends at once."""
        told = json.loads((self.folder / "run/status.json").read_text())
        pids = [told["pid"], *(row["pid"] for row in told["processes"] if row["pid"])]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def ask(self) -> tuple[dict[str, str], str]:
        body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {self._key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310  loopback
            return dict(reply.headers), json.load(reply)["choices"][0]["message"]["content"]

    def defer(self, model: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Ask for an answer within the hour; returns status, headers and body."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return self.call("/v1/chat/completions", body, {"x-littoral-defer": "3600"})

    def call(
        self, path: str, body: object = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """One request; returns status, headers and body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {
                "authorization": f"Bearer {self._key}",
                "content-type": "application/json",
                **headers,
            },
        )
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310  loopback
            return reply.status, dict(reply.headers), json.load(reply)


def test_a_joined_machine_starts_again_and_serves_while_control_is_gone(cloud, tmp_path):
    assert cloud.request("POST", "/api/v1/apply", {"documents": [ECHO, FAR]})[0] == 200
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
    _, invited = cloud.request("POST", "/api/v1/invitations", body)
    edge = Edge(tmp_path / "edge", cloud.key)
    joined = edge.run("node", "join", invited["url"], "--token", invited["token"], "--no-start")
    assert joined.returncode == 0, joined.stderr
    try:
        assert edge.start().returncode == 0
        cloud.wait_for(lambda: "pier-4" in nodes_that_serve(cloud), "the engine at the edge")
        assert edge.ask()[0]["x-littoral-route"].startswith("pier-4/")
        cloud.stop()
        edge.kill()
        again = edge.start()
        assert again.returncode == 0, again.stderr
        assert f"http://127.0.0.1:{edge.port}" in again.stdout
        cloud.wait_for(lambda: answers(edge), "an answer of the edge alone")
        headers, said = edge.ask()
        assert said == "echo: hello"
        assert headers["x-littoral-offline"] == "true"
        events = edge.run("events")
        assert events.returncode == 0, events.stderr
        assert "on this machine" in events.stderr
        assert "(machine_restarted" not in events.stdout
        assert "(supervisor_restarted" in events.stdout
        no_cloud_begins_here(edge)
        deferred_until_the_cloud_is_back(cloud, edge)
    finally:
        edge.run("down")


def no_cloud_begins_here(edge: Edge) -> None:
    """A machine that joined is no control plane of its own."""
    refused = edge.run("up", "--detach", "--model", "smollm2-135m")
    assert refused.returncode == 2
    assert "a node of a cluster" in refused.stderr


def deferred_until_the_cloud_is_back(cloud: Site, edge: Edge) -> None:
    """What only the cloud can answer is taken by the edge alone, which says that it is."""
    status, headers, accepted = edge.defer("far")
    assert (status, headers["x-littoral-offline"]) == (202, "true")
    cloud.start()
    cloud.wait_for(
        lambda: edge.call(f"/v1/deferred/{accepted['id']}")[2]["status"] == "completed",
        "the answer of the cloud once it is back",
        timeout_s=90,
    )


def nodes_that_serve(cloud: Site) -> set[str]:
    _, found = cloud.request("GET", "/api/v1/nodes")
    return {
        node["name"]
        for node in found["items"]
        for endpoint in (node["status"] or {"endpoints": []})["endpoints"]
        if endpoint["state"] == "ready"
    }


def answers(edge: Edge) -> bool:
    try:
        return bool(edge.ask()[1])
    except OSError:
        return False
