"""Measuring: processes started on a core, and what they use while the load generator runs."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"
TASKSET = shutil.which("taskset") or "taskset"
PATH = "/v1/chat/completions"
START_S = 120.0
QUESTION = (
    "Explain in one sentence where a request is served and what it writes to the ledger. " * 2
)
CONTEXT = 'long context paragraph about edge and cloud \\n "quoted" \u4e2d\u6587 ' * 150


class Workload(NamedTuple):
    """Load: body, connections, seconds, requests/s (0: closed loop), warm-up, events, pace."""

    body: str
    connections: int
    seconds: float
    rate: int
    warm: float
    events: int
    pace_us: int


WORKLOADS: Mapping[str, Workload] = {
    "ns32": Workload("small", 32, 1.5, 0, 0.4, -1, 0),
    "ns1": Workload("small", 1, 1.0, 0, 0.3, -1, 0),
    "ns8k": Workload("large", 32, 1.5, 0, 0.4, -1, 0),
    "open": Workload("small", 64, 2.5, 200, 0.4, -1, 0),
    "st16": Workload("stream", 16, 1.5, 0, 0.5, 64, 0),
    "paced": Workload("stream", 32, 2.0, 0, 0.6, 64, 8000),
    "c500": Workload("stream", 500, 3.0, 0, 3.0, -1, 40000),
}


def build() -> None:
    """Compile the mock engine and the load generator where they are older than their source."""
    BUILD.mkdir(exist_ok=True)
    for name in ("upstream", "loadgen"):
        source, binary = HERE / f"{name}.c", BUILD / name
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-o", str(binary), str(source)]
            subprocess.run(command, check=True)


def write_bodies(model: str, work: pathlib.Path) -> None:
    """Write the three request bodies: about 360 B, 414 B (streamed) and 11 KB."""
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    system = "You are a helpful assistant at the edge. Answer briefly and precisely."
    kinds = (("small", QUESTION, {}), ("stream", QUESTION, stream), ("large", CONTEXT, {}))
    for name, text, extra in kinds:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = {"model": model, "messages": messages, "max_tokens": 64, "temperature": 0.7}
        (work / f"{name}.json").write_text(json.dumps(body | extra, separators=(",", ":")))


def tree(pids: Sequence[int]) -> list[int]:
    """Return the processes and all their descendants."""
    found = list(pids)
    for pid in found:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time used so far by these processes, at nanosecond grain."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mb(pids: Sequence[int]) -> float:
    """PSS, averaged over the processes."""
    total, count = 0, 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total, count = total + int(line.split()[1]), count + 1
    return total / 1024 / max(count, 1)


class Peer:
    """One thing to measure: where it answers, which processes it is, what else it costs.

    Args:
        name: Of it.
        port: Where it listens.
        key: What it takes as a key.
        slowness: How many times longer it is measured than others.
    """

    def __init__(self, name: str, port: int, *, key: str = "none", slowness: int = 1) -> None:
        self.name, self.port, self.key, self.slowness = name, port, key, slowness
        self.process: subprocess.Popen[bytes] | None = None
        self.pids: list[int] = []
        self.aside: list[int] = []

    def start(
        self,
        command: Sequence[str],
        core: int,
        log: pathlib.Path,
        *,
        env: Mapping[str, str] | None = None,
        settle_s: float = 0.5,
    ) -> None:
        """Start it on a core and wait until it listens, and then a little."""
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [TASKSET, "-c", str(core), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.name == "littoral" else out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        if self.process.stdout is not None:
            facts = json.loads(self.process.stdout.readline())
            self.key, self.pids, self.aside = facts["key"], [facts["gateway"]], [facts["node"]]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                time.sleep(settle_s)
                self.pids = self.pids or tree([self.process.pid])
                return
            time.sleep(0.1)
        self.stop()
        sys.exit(f"{self.name} did not start; its log ends:\n{log.read_text()[-2000:]}")

    def signal(self, number: int) -> None:
        """Signal all its processes."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """End it."""
        self.signal(signal.SIGCONT)
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            if self.name != "littoral":
                self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.signal(signal.SIGKILL)


def measure(peer: Peer, name: str, work: pathlib.Path, *, core: int) -> dict[str, float]:
    """Run one workload against a peer.

    Returns:
        The load generator's figures, and the peer's CPU time per request and per event; what its
        helpers used (the records' durable half) stands apart.
    """
    w = WORKLOADS[name]
    w = w._replace(seconds=w.seconds * peer.slowness, warm=w.warm * peer.slowness)
    figures = (w.connections, w.seconds, w.rate, peer.key, w.warm, w.events)
    command = [TASKSET, "-c", str(core), str(BUILD / "loadgen"), str(peer.port), PATH]
    command += [str(work / f"{w.body}.json"), *map(str, figures)]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(w.warm + 0.05)
    cpu, aside, start = cpu_seconds(peer.pids), cpu_seconds(peer.aside), time.monotonic()
    time.sleep(w.seconds - 0.1)
    elapsed = time.monotonic() - start
    share = (cpu_seconds(peer.pids) - cpu) / elapsed
    beside = (cpu_seconds(peer.aside) - aside) / elapsed
    out, err = load.communicate(timeout=60)
    if load.returncode:
        sys.exit(f"{peer.name} {name}: the load generator failed: {err[:500]}")
    result = {**json.loads(out), "pss_mb": memory_mb(peer.pids), "load1": os.getloadavg()[0]}
    if result["rps"]:
        result["us_request"] = 1e6 * share / result["rps"]
        result["us_record"] = 1e6 * beside / result["rps"]
    if result["eps"]:
        result["us_event"] = 1e6 * share / result["eps"]
    result["faults"] = result["errors"] + result["bad_streams"]
    if result["faults"]:
        print(f"  {peer.name} {name}: {err[:200]}")
    return result
