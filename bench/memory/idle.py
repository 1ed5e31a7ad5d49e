#!/usr/bin/env python3
"""Memory of an idle machine that joined a cluster and runs no engine: the aim is 80 MB.

Starts a cloud and one joined machine as real processes, waits, and reads the proportional set size
of each of the machine's processes: first with the cloud beside it, with which it shares libraries,
then again a moment after the cloud was stopped, when it shares nothing with anybody. Prints both,
with what of it is the process's own (anonymous) and what is of files; writes
``bench/out/idle.json``; exit status 1 where the first is above the aim.

    .venv/bin/python bench/memory/idle.py
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]
from e2e.conftest import PACKAGES, Site, free_port  # noqa: E402  known only from here on

OUT = ROOT / "bench" / "out" / "idle.json"
LIMIT_MB = 80.0
Sizes = dict[str, dict[str, float]]


def littoral(*words: str, folder: pathlib.Path) -> None:
    """Run a command of a machine."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LITTORAL_")}
    environ = kept | {"PYTHONPATH": PACKAGES, "LITTORAL_NAME": "idle-1"}
    command = [sys.executable, "-m", "littoral", *words, "--data-dir", str(folder)]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=90)


def connected(cloud: Site) -> bool:
    """Whether the machine has a session."""
    _, found = cloud.request("GET", "/api/v1/nodes")
    return any(node["name"] == "idle-1" and node["state"] == "connected" for node in found["items"])


def sizes_of(folder: pathlib.Path) -> Sizes:
    """Megabytes of each process of the machine: ``pss``, and its parts ``own`` and ``files``."""
    told = json.loads((folder / "run/status.json").read_text("utf-8"))
    found: Sizes = {}
    for row in told["processes"]:
        lines = pathlib.Path(f"/proc/{row['pid']}/smaps_rollup").read_text("utf-8").splitlines()
        parts = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines[1:]}
        found[row["role"]] = {
            "pss": parts["Pss"],
            "own": parts["Pss_Anon"],
            "files": parts["Pss_File"] + parts["Pss_Shmem"],
        }
    return found


def show(title: str, sizes: Sizes) -> float:
    """Print one reading; the sum, megabytes."""
    total = sum(each["pss"] for each in sizes.values())
    print(f"{title:<36}{'PSS':>8}{'own':>8}{'files':>8}")
    for role, each in sizes.items():
        print(f"  {role:<34}{each['pss']:8.1f}{each['own']:8.1f}{each['files']:8.1f}")
    print(f"  {'together':<34}{total:8.1f} MB, {total * 1e6 / 2**20:.1f} MiB")
    return total


def measured(cloud: Site, folder: pathlib.Path, settle: float) -> tuple[Sizes, Sizes]:
    """Join and start a machine; its sizes beside its cloud, and with that gone."""
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
    invited = cloud.request("POST", "/api/v1/invitations", body)[1]
    token = ("--token", invited["token"], "--no-start")
    littoral("node", "join", invited["url"], *token, folder=folder)
    littoral("up", "--detach", "--port", str(free_port()), folder=folder)
    try:
        cloud.wait_for(lambda: connected(cloud), "the machine's session")
        time.sleep(settle)
        beside = sizes_of(folder)
        cloud.stop()
        time.sleep(3.0)
        return beside, sizes_of(folder)
    finally:
        littoral("down", folder=folder)


def main() -> int:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settle", type=float, default=25.0, help="seconds of idling before")
    settle: float = parser.parse_args().settle
    with tempfile.TemporaryDirectory(prefix="littoral-idle-") as name:
        doors = ("LITTORAL_NODES_LISTEN", "LITTORAL_SESSION_LISTEN")
        places = {door: f"127.0.0.1:{free_port()}" for door in doors}
        cloud = Site(pathlib.Path(name, "cloud"), environ=places)
        cloud.start()
        try:
            beside, alone = measured(cloud, pathlib.Path(name, "edge"), settle)
        finally:
            cloud.stop()
    total = show("beside its cloud", beside)
    apart = show("alone, the cloud gone", alone)
    result = {
        "beside": beside, "alone": alone, "total_mb": round(total, 1), "alone_mb": round(apart, 1),
        "limit_mb": LIMIT_MB, "ratio": round(total / LIMIT_MB, 3),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(total > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
