"""A machine that joined comes to another version of Littoral, and leaves one that is broken."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

from e2e.conftest import Site, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
ECHO = {
    "kind": "Deployment",
    "metadata": {"name": "echo"},
    "spec": {"engine": "fake", "model": "echo", "where": {"tier": "edge"}},
}
BROKEN = 'raise RuntimeError("this build is broken")\n'


def wheel(folder: Path, version: str, *, broken: str = "") -> Path:
    """Build the product under another version; ``broken`` is a module that raises."""
    source = folder / f"source-{version}"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    text = (ROOT / "pyproject.toml").read_text()
    (source / "pyproject.toml").write_text(
        text.replace('version = "0.1.0"', f'version = "{version}"')
    )
    said = source / "src/littoral/app/version.py"
    said.write_text(said.read_text().replace('VERSION = "0.1.0"', f'VERSION = "{version}"'))
    if broken:
        place = source / "src/littoral" / broken
        place.write_text(BROKEN + place.read_text())
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    return folder / f"littoral-{version}-py3-none-any.whl"


def environment(folder: Path, first: Path) -> Path:
    """A virtual environment with a wheel of ours, beside the libraries of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python"]
    words = ["install", "--no-index", "--no-deps", "--no-compile", "--ignore-installed", first]
    subprocess.run([*pip, *words], check=True, capture_output=True, timeout=60)
    return folder / "bin/littoral"


class Edge:
    """A machine with an installation of its own."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._program = program

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("LITTORAL_", "PYTHON"))}
        environ |= {"LITTORAL_NAME": "pier-4"}
        command = [str(self._program), *words, "--data-dir", str(self.folder)]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=90, check=False
        )

    def version(self) -> str:
        try:
            return json.loads((self.folder / "run/status.json").read_text())["version"]
        except OSError:
            return ""

    def serves(self) -> bool:
        """Whether its gateway answers."""
        with contextlib.suppress(OSError):
            reply = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5)
            return reply.status == 200
        return False


def update(cloud: Site) -> dict:
    return cloud.request("GET", "/api/v1/updates")[1]["items"][0]


def events(cloud: Site) -> dict[str, str]:
    _, found = cloud.request("GET", "/api/v1/events")
    return {item["event"]["code"]: item["event"]["message"] for item in found["items"]}


def release(cloud: Site, *wheels: Path) -> None:
    words = ["releases", "add", *map(str, wheels), "--data-dir", str(cloud.data_dir)]
    done = subprocess.run(
        [sys.executable, "-m", "littoral", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_node_comes_to_a_new_version_and_leaves_a_broken_one(cloud, tmp_path):
    first, good = wheel(tmp_path, "0.1.0"), wheel(tmp_path, "0.1.1")
    bad = wheel(tmp_path, "0.1.2", broken="app/role/supervisor.py")
    worse = wheel(tmp_path, "0.1.3", broken="app/codec.py")
    cloud.request("POST", "/api/v1/apply", {"documents": [ECHO]})
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
    _, invited = cloud.request("POST", "/api/v1/invitations", body)
    edge = Edge(tmp_path / "edge", environment(tmp_path / "base", first))
    joined = edge.run("node", "join", invited["url"], "--token", invited["token"], "--no-start")
    assert joined.returncode == 0, joined.stderr
    try:
        started = edge.run("up", "--detach", "--port", str(edge.port))
        assert started.returncode == 0, started.stderr
        release(cloud, good)
        release(cloud, bad)
        release(cloud, worse)
        comes_to_a_good_one(cloud, edge)
        goes_back_and_forward_without_control(cloud, edge)
        leaves_a_broken_one(cloud, edge)
        refuses_one_that_reads_nothing(cloud, edge)
    finally:
        edge.run("down")


def go_to(cloud: Site, version: str, *, until: str) -> dict:
    """Begin an update and wait for its end; the node's line of it."""
    wish = {"version": version, "minutes": 0, "within_s": 60}
    status, begun = cloud.request("POST", "/api/v1/updates", wish)
    assert status == 200, begun
    cloud.wait_for(lambda: update(cloud)["state"] == until, version, timeout_s=180)
    return update(cloud)["nodes"][0]


def comes_to_a_good_one(cloud: Site, edge: Edge) -> None:
    assert go_to(cloud, "0.1.1", until="done")["runs"] == "0.1.1"
    assert edge.version() == "0.1.1"


def goes_back_and_forward_without_control(cloud: Site, edge: Edge) -> None:
    """People at the machine take it back while nobody can reach control, and forward again."""
    cloud.stop()
    for version in ("0.1.0", "0.1.1"):
        said = edge.run("update", "undo", "--local")
        assert said.returncode == 0, said.stderr
        assert f"goes back to {version}" in said.stderr
        cloud.wait_for(lambda version=version: edge.version() == version, version, timeout_s=60)
        trial = edge.folder / "versions/trial.json"
        cloud.wait_for(lambda trial=trial: not trial.exists(), "no trial", timeout_s=150)
        assert edge.serves()
        if version == "0.1.0":
            cloud.start()
            cloud.wait_for(
                lambda: update(cloud)["nodes"][0]["phase"] == "rolled_back",
                "the news",
                timeout_s=120,
            )
            assert update(cloud)["nodes"][0]["runs"] == "0.1.0"
            cloud.stop()
    cloud.start()
    cloud.wait_for(
        lambda: update(cloud)["nodes"][0]["phase"] == "healthy", "the news", timeout_s=60
    )


def leaves_a_broken_one(cloud: Site, edge: Edge) -> None:
    node = go_to(cloud, "0.1.2", until="paused")
    assert (node["phase"], node["runs"]) == ("rolled_back", "0.1.1")
    assert "it was started 3 times and ended" in node["why"]
    assert "RuntimeError" in node["why"]
    cloud.wait_for(lambda: "update_rolled_back" in events(cloud), "the event")
    assert "0.1.2 is left for 0.1.1" in events(cloud)["update_rolled_back"]
    assert edge.version() == "0.1.1"
    assert cloud.request("POST", "/api/v1/updates/act", {"act": "undo"})[0] == 200


def refuses_one_that_reads_nothing(cloud: Site, edge: Edge) -> None:
    assert go_to(cloud, "0.1.3", until="paused")["phase"] == "refused"
    assert edge.version() == "0.1.1"
