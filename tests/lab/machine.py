"""Machines of the lab: each is a network namespace, a data folder and a clock of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path

from e2e.conftest import PACKAGES, Site
from lab.tun import IP, entered, kill

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
"""Where Debian's package ``libfaketime`` puts it; empty where it is not installed."""
ADDRESS = "10.231.0.1"
JOIN, SESSION = 8444, 8445
CHAT = "chat"


class Machine(Site):
    """``littoral`` in a namespace.

    Args:
        space: Its namespace.
        folder: Where its data and its clock are; removed by whoever made it.
        environ: More variables.
    """

    def __init__(self, space: str, folder: Path, *, environ: Mapping[str, str]) -> None:
        self.space = space
        self.clock = folder / f"{space}.clock"
        self.clock.write_text("+0\n", "ascii")
        variables = {**environ, **shifted(self.clock), "LITTORAL_NAME": space}
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

    def shift(self, seconds: float) -> None:
        """Set its wall clock so far beside the true one, within a second; others stay."""
        part = self.clock.with_suffix(".part")
        part.write_text(f"{seconds:+.0f}\n", "ascii")
        part.replace(self.clock)
        threading.Event().wait(1.5)


class Cloud(Machine):
    """The machine that control runs on; edges reach it at ``ADDRESS``."""

    def __init__(self, space: str, folder: Path) -> None:
        environ = {
            "LITTORAL_NODES_LISTEN": f"0.0.0.0:{JOIN}",
            "LITTORAL_NODES_URL": f"https://{ADDRESS}:{JOIN}",
            "LITTORAL_SESSION_LISTEN": f"0.0.0.0:{SESSION}",
        }
        super().__init__(space, folder, environ=environ)

    def nodes(self) -> dict[str, dict]:
        """What control knows of each joined machine, by name."""
        _, found = self.request("GET", "/api/v1/nodes")
        return {node["name"]: node for node in found["items"] if node["name"] != self.space}

    def rows(self) -> list[dict]:
        """Stop, and read what the ledger holds of the load."""
        return self.ledger()


class Edge(Machine):
    """A machine that joins."""

    def __init__(self, space: str, folder: Path) -> None:
        super().__init__(space, folder, environ={})
        self.load = ""

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


def shifted(clock: Path) -> dict[str, str]:
    """Variables under which wall time, and no other, is what the file says."""
    if not FAKETIME:
        return {}
    found = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    return {**found, "LITTORAL_PASS_ENVIRONMENT": ",".join(found)}
