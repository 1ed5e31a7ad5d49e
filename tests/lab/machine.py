"""Machines of the lab: each is a network namespace, a data folder and a clock of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType

from e2e.conftest import PACKAGES, Site
from lab.clock import Clock
from lab.tun import IP, entered, kill

ADDRESS = "10.231.0.1"
JOIN, SESSION = 8444, 8445
CHAT = "chat"


class Machine(Site):
    """``littoral`` in a namespace.

    Args:
        space: Its namespace.
        folder: Where its data and its clock are; removed by whoever made it.
        shim: The library through which it sees its clock; None where it sees the true one.
        environ: More variables.
    """

    def __init__(
        self,
        space: str,
        folder: Path,
        *,
        shim: Path | None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.space = space
        self.clock = Clock(folder / f"{space}.clock", shim)
        variables = {**environ, **self.clock.variables(), "LITTORAL_NAME": space}
        super().__init__(folder / space, environ=variables, wrap=[IP, "netns", "exec", space])
        self.port = 8080

    def run(self, *words: str, timeout_s: float = 120.0) -> str:
        """Run a command of ``littoral`` here; what it printed.

        Raises:
            RuntimeError: It failed; the message is what it said.
        """
        command = [*self._wrap, sys.executable, "-m", "littoral", *words]
        done = subprocess.run(
            [*command, "--data-dir", str(self.data_dir)],
            env=clean() | self._environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.space}: littoral {' '.join(words)}: {done.stderr}")
        return done.stdout

    def connect(self) -> HTTPConnection:
        """A connection within its namespace."""
        connection = super().connect()
        with entered(self.space):
            connection.connect()
        return connection

    def power_off(self) -> None:
        """Every process ends at once."""
        kill(self.space)
        if self._process is not None:
            self._process.wait()
            self._process = None


class Cloud(Machine):
    """The machine that control runs on; edges reach it at ``ADDRESS``."""

    def __init__(self, space: str, folder: Path, *, shim: Path | None) -> None:
        environ = {
            "LITTORAL_NODES_LISTEN": f"0.0.0.0:{JOIN}",
            "LITTORAL_NODES_URL": f"https://{ADDRESS}:{JOIN}",
            "LITTORAL_SESSION_LISTEN": f"0.0.0.0:{SESSION}",
        }
        super().__init__(space, folder, shim=shim, environ=environ)

    def nodes(self) -> dict[str, dict]:
        """What control knows of each joined machine, by name."""
        _, found = self.request("GET", "/api/v1/nodes")
        return {node["name"]: node for node in found["items"] if node["name"] != self.space}


class Edge(Machine):
    """A machine that joins."""

    load = ""
    """The key of its clients."""

    def join(self, cloud: Cloud) -> None:
        """Become a node of the cloud's cluster."""
        told = json.loads(cloud.run("nodes", "invite", "--json"))
        self.run("node", "join", told["url"], "--token", told["token"], "--no-start")

    def ready(self) -> bool:
        """Whether its gateway answers; control is elsewhere."""
        return self.answers("/healthz", key=self.load)

    def standing(self) -> dict:
        """What its node wrote down of its session."""
        try:
            return json.loads((self.data_dir / "run/standing.json").read_text())
        except (OSError, ValueError):
            return {}


def clean() -> dict[str, str]:
    """Our environment without what would reach into the product."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LITTORAL_")}
    return kept | {"PYTHONPATH": PACKAGES}
