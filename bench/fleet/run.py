#!/usr/bin/env python3
"""What a fleet of edges costs control, and how soon all are back after control restarted.

The whole product serves as the cloud; two other processes hold all edges, which are the node's own
code over real sockets (``edges.py``). Prints one line of JSON, writes ``bench/out/fleet.json``.

    .venv/bin/python bench/fleet/run.py --edges 1000 --seconds 60
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]
from e2e.conftest import Site, free_port  # noqa: E402  their folder is known only from here on

OUT = HERE.parent / "out" / "fleet.json"
HOLDERS = 2
"""Processes that hold edges: one alone is busier than control when all come back."""
SHOW_S = 5.0
TICK = os.sysconf("SC_CLK_TCK")


class Holder:
    """A process that holds edges, and what it said last."""

    def __init__(self, url: str, tokens: dict[int, str]) -> None:
        self.told: dict[str, float] = {}
        self._child = subprocess.Popen(
            [sys.executable, str(HERE / "edges.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            text=True,
        )
        self._say(json.dumps({"url": url, "tokens": tokens}))
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        for line in self._child.stdout:
            self.told = self.told | json.loads(line)

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def _say(self, line: str) -> None:
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def count_anew(self) -> None:
        """Let ``again`` be of those that are welcomed from now on."""
        self._say("")
        while self.told["again"]:
            time.sleep(0.1)

    def end(self) -> None:
        """Stop its edges."""
        self._child.kill()
        self._child.wait()


class Fleet:
    """All edges."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        numbered = list(enumerate(tokens))
        self._holders = [Holder(url, dict(numbered[each::HOLDERS])) for each in range(HOLDERS)]

    def told(self, what: str) -> float:
        """The sum of a figure; -1 where a holder has not said it yet."""
        each = [holder.told.get(what) for holder in self._holders]
        return -1 if None in each else sum(each)

    def until(self, what: str, least: float, *, within_s: float) -> float:
        """Seconds until a figure has come to ``least``."""
        began, shown = time.monotonic(), 0.0
        while self.told(what) < least:
            waited = time.monotonic() - began
            if waited > shown + SHOW_S:
                shown = waited
                print(f"{waited:.0f} s: {self.told(what):.0f} {what}", file=sys.stderr)
            if waited > within_s or not all(holder.lives for holder in self._holders):
                sys.exit(f"{what} is {self.told(what)} after {waited:.0f} s, not {least}")
            time.sleep(0.1)
        return time.monotonic() - began

    def count_anew(self) -> None:
        """Let ``again`` be of those that are welcomed from now on."""
        for holder in self._holders:
            holder.count_anew()

    def end(self) -> None:
        """Stop all edges."""
        for holder in self._holders:
            holder.end()


def cpu_s(pid: int) -> float:
    """Seconds of a core that a process has used."""
    after = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(after[11]) + int(after[12])) / TICK


def pss_mib(pid: int) -> float:
    """Memory of a process, shared pages by their share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def cloud() -> Iterator[Site]:
    """The whole product, with doors for nodes."""
    with tempfile.TemporaryDirectory() as folder:
        doors = {
            "LITTORAL_NODES_LISTEN": f"127.0.0.1:{free_port()}",
            "LITTORAL_SESSION_LISTEN": f"127.0.0.1:{free_port()}",
        }
        site = Site(Path(folder, "cloud"), environ=doors)
        site.start()
        try:
            yield site
        finally:
            site.stop()


def invited(site: Site, count: int) -> tuple[str, list[str]]:
    """Where edges join, and a token for each."""
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 60}
    answers = [site.request("POST", "/api/v1/invitations", body) for _ in range(count)]
    wrong = [answer for answer in answers if answer[0] not in (200, 201)]
    if wrong:
        sys.exit(f"no invitation: {wrong[0]}")
    return answers[0][1]["url"], [answer[1]["token"] for answer in answers]


def calm(pid: int, *, within_s: float) -> float:
    """Seconds until a process has taken less than a tenth of a core for two of them."""
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        before = cpu_s(pid)
        time.sleep(2.0)
        if cpu_s(pid) - before < 0.2:
            return time.monotonic() - began - 2.0
    sys.exit(f"control is still busy after {within_s:.0f} s")


def measured(site: Site, fleet: Fleet, given: argparse.Namespace) -> dict[str, float]:
    """Let them join, beat, lose control, and come back."""
    control = site.processes()["control"]
    asleep = cpu_s(control)
    joined_s = fleet.until("joined", given.edges, within_s=600)
    first_s = fleet.until("there", given.edges, within_s=600)
    calm_s = calm(control, within_s=600)
    joining, offers = cpu_s(control) - asleep, fleet.told("offers")
    time.sleep(given.settle)
    before, edges_before = cpu_s(control), fleet.told("cpu_s")
    time.sleep(given.seconds)
    steady = 100 * (cpu_s(control) - before) / given.seconds
    found = {
        "edges": given.edges,
        "joining_s": round(joined_s, 1),
        "all_there_after_joining_s": round(first_s, 1),
        "calm_after_that_s": round(calm_s, 1),
        "joining_control_cpu_s": round(joining, 1),
        "snapshots_while_joining": offers,
        "control_cpu_percent": round(steady, 1),
        "control_pss_mib": round(pss_mib(control), 1),
        "edges_cpu_percent": round(100 * (fleet.told("cpu_s") - edges_before) / given.seconds, 1),
    }
    fleet.count_anew()
    site.kill("control")
    back_s = fleet.until("again", given.edges, within_s=600)
    return found | {"all_back_s": round(back_s, 1)}


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=30.0, help="seconds before measuring")
    given = parser.parse_args()
    with cloud() as site:
        fleet = Fleet(*invited(site, given.edges))
        try:
            found = measured(site, fleet, given)
        finally:
            fleet.end()
    print(json.dumps(found))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2), "utf-8")


if __name__ == "__main__":
    main()
