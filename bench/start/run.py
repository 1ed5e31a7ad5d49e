"""How fast the command line and the service start, and what they weigh when idle.

Help pages and ``version``: the best of five runs against 0.5 s. ``littoral up`` on an existing data
folder without an engine: the median of three starts until the public port is ready and control
answers, against 3 s. Then, after a while of idling, the proportional set sizes of all processes
together against 150 MB. Writes ``bench/out/start.json``; ends with 1 where a limit is passed.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out" / "start.json"
PAGES = (["--help"], ["version"], ["up", "--help"], ["models"])
PAGE_LIMIT_S = 0.5
PAGE_RUNS = 5
START_LIMIT_S = 3.0
START_RUNS = 3
MEMORY_LIMIT_MB = 150.0
IDLE_S = 5.0


def environ() -> dict[str, str]:
    """This environment without settings of ours, with this checkout first."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LITTORAL_")}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "LANG": "C.UTF-8"}


def littoral(*words: str) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "littoral", *words]


def page_s(words: list[str]) -> tuple[float, float]:
    """Seconds that one page takes in a fresh process: on the wall, and of CPU."""
    before, began = cpu_s(), time.perf_counter()
    subprocess.run(littoral(*words), env=environ(), check=True, capture_output=True)
    return time.perf_counter() - began, cpu_s() - before


def cpu_s() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str, key: str = "") -> bool:
    """Whether a GET is a 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def key_of(data: Path) -> str:
    """The admin key, once there is one."""
    with contextlib.suppress(FileNotFoundError):
        return (data / "admin.key").read_text("utf-8").strip()
    return ""


def started(data: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """Start the service; the process and the seconds until it is ready.

    Raises:
        SystemExit: It did not become ready.
    """
    began = time.perf_counter()
    words = littoral("up", "--data-dir", str(data), "--port", str(port))
    process = subprocess.Popen(
        words, env=environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while time.perf_counter() - began < 60 and process.poll() is None:
        if answers(port, "/readyz") and answers(port, "/api/v1/status", key_of(data)):
            return process, time.perf_counter() - began
        time.sleep(0.01)
    raise SystemExit("littoral up did not become ready")


def stopped(process: subprocess.Popen[bytes]) -> None:
    """End the service in order."""
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def memory_mb(data: Path) -> dict[str, float]:
    """Proportional set size of each process, megabytes."""
    told = json.loads((data / "run" / "status.json").read_text("utf-8"))
    sizes: dict[str, float] = {}
    for row in told["processes"]:
        text = Path(f"/proc/{row['pid']}/smaps_rollup").read_text("utf-8")
        kilobytes = next(int(line.split()[1]) for line in text.splitlines() if "Pss:" in line)
        sizes[row["role"]] = round(kilobytes * 1024 / 1e6, 1)
    return sizes


def measure_pages() -> dict[str, tuple[float, float]]:
    """The best time of each page, and the CPU seconds of that run."""
    best = {" ".join(words): min(page_s(words) for _ in range(PAGE_RUNS)) for words in PAGES}
    return {page: (round(wall, 3), round(cpu, 3)) for page, (wall, cpu) in best.items()}


def measure_starts() -> tuple[float, list[float], dict[str, float]]:
    """The first start, later starts, and the idle memory."""
    with tempfile.TemporaryDirectory(prefix="littoral-start-") as folder:
        data, port = Path(folder, "data"), free_port()
        process, first = started(data, port)
        stopped(process)
        times: list[float] = []
        for number in range(START_RUNS):
            process, took = started(data, port)
            times.append(took)
            if number < START_RUNS - 1:
                stopped(process)
        time.sleep(IDLE_S)
        sizes = memory_mb(data)
        stopped(process)
    return first, times, sizes


def row(name: str, figure: float, *, limit: float, unit: str) -> bool:
    """Print one line of the table; whether the limit is kept."""
    print(f"{name:<28}{figure:>9.3f} {unit:<3}{limit:>9.1f} {unit:<3}{figure / limit:>8.2f}")
    return figure <= limit


def main() -> int:
    """Measure, print the table, write the file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"load {load:.1f}\n")  # fmt: skip
    print(f"{'':<28}{'ours':>12} {'limit':>12} {'ratio':>8}")
    pages = measure_pages()
    good = [
        row(f"littoral {page}", best, limit=PAGE_LIMIT_S, unit="s")
        for page, (best, _) in pages.items()
    ]
    first, times, sizes = measure_starts()
    median, total = statistics.median(times), sum(sizes.values())
    print(f"{'first start (makes the data)':<28}{first:>9.3f} s")
    good.append(row("start to ready", median, limit=START_LIMIT_S, unit="s"))
    for role, size in sizes.items():
        print(f"{'  ' + role:<28}{size:>9.1f} MB")
    good.append(row("idle memory (PSS)", total, limit=MEMORY_LIMIT_MB, unit="MB"))
    worst = max(best for best, _ in pages.values())
    result = {
        "pages": {"s": {page: best for page, (best, _) in pages.items()},
                  "cpu_s": {page: cpu for page, (_, cpu) in pages.items()},
                  "worst_s": worst, "limit_s": PAGE_LIMIT_S,
                  "ratio": round(worst / PAGE_LIMIT_S, 3)},
        "start": {"first_s": round(first, 3), "s": [round(each, 3) for each in times],
                  "median_s": round(median, 3), "limit_s": START_LIMIT_S,
                  "ratio": round(median / START_LIMIT_S, 3)},
        "idle": {"mb": sizes, "total_mb": round(total, 1), "limit_mb": MEMORY_LIMIT_MB,
                 "ratio": round(total / MEMORY_LIMIT_MB, 3)},
        "conditions": {"machine": platform.machine(), "cores": os.cpu_count(),
                       "python": platform.python_version(), "load": round(load, 2)},
    }  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
