#!/usr/bin/env python3
"""Does `littoral bench` tell the truth? It measures a service that knows what it did.

The service (server.py) answers after known times and writes down, for every request, how long it
took from the last byte read to the first and the last byte written. The same percentiles of both
must agree within --limit. What the client adds (lateness, two trips over loopback, wake-ups) is
part of the difference. A run that the client itself calls invalid, because this machine was too
busy to measure, is shown and repeated, at most --tries times. Exit status 1 where valid runs do not
agree, or where there is none.

    make bench-loadgen
    .venv/bin/python bench/loadgen/run.py --rates 20,50 --requests 700
"""

import argparse
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).parent
OUT = HERE.parent / "out" / "loadgen.json"
RANKS = {"p50": 0.5, "p99": 0.99}


def quantile(values: list[float], rank: float) -> float:
    """The nearest rank, computed here so that the product's own arithmetic is checked, too."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(rank * len(ordered)) - 1)]


def get(port: int, path: str) -> object:
    """Ask the service."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
        return json.load(reply)


def bench(port: int, words: list[str], file: str) -> dict:
    """Run the product; its result."""
    command = [
        sys.executable,
        "-m",
        "littoral",
        "bench",
        "run",
        "--url",
        f"http://127.0.0.1:{port}",
    ]
    command += ["--warmup", "0s", "--out", file, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:
        sys.exit(done.stderr)
    return json.loads(pathlib.Path(file).read_text())


def row(port: int, options: argparse.Namespace, *, rate: float, whole: bool, file: str) -> dict:
    """Measure once, and put the truth beside it."""
    get(port, "/reset")
    words = ["--rate", str(rate), "--requests", str(options.requests), "--tokens-out", "8"]
    words += ["--seed", str(int(rate)), "--arrivals", options.arrivals]
    found = bench(port, words + ["--whole"] * whole, file)
    truth = get(port, "/truth")[2:]  # without the two requests that ask what a word counts
    if len(truth) != found["counts"]["answered"] or found["counts"]["failed"]:
        sys.exit(f"{len(truth)} answers given, {found['counts']} counted")
    made: dict = {"rate": rate, "stream": not whole, "requests": len(truth), "errors": {}}
    for place, name in ((0, "ttft"), (1, "e2e")):
        if whole and name == "ttft":
            continue
        for label, rank in RANKS.items():
            real = quantile([pair[place] for pair in truth], rank)
            told = found["figures"][name]["percentiles"][label]["value"]
            sent = dict(found["figures"][f"{name}_sent"]["curve"])[rank]
            made[f"{name}_{label}"] = {
                "truth_ms": round(real * 1e3, 2), "measured_ms": round(told * 1e3, 2),
                "from_send_ms": round(sent * 1e3, 2),
            }  # fmt: skip
            made["errors"][f"{name}_{label}"] = round(told / real - 1, 5)
    health = found["health"]
    made |= {
        "late_p50_ms": round(found["figures"]["delay"]["percentiles"]["p50"]["value"] * 1e3, 3),
        "late_p99_ms": round(health["delay"] * 1e3, 3),
        "lag_p99_ms": round(health["lag"] * 1e3, 3),
        "cpu": round(health["cpu"], 3), "valid": health["valid"],
        "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    return made


def show(made: dict) -> None:
    """One line of the table."""
    kind = "stream" if made["stream"] else "whole"
    cells = "".join(
        f"{made[name]['truth_ms']:>8.1f} {made[name]['measured_ms']:>7.1f} {error:>+6.2%}"
        for name, error in made["errors"].items()
    )
    print(f"{made['rate']:>5g} {kind:>7}{' ' * (46 if kind == 'whole' else 0)}{cells}"
          f"{made['late_p50_ms']:>8.2f} {made['late_p99_ms']:>6.2f}"
          f"{'' if made['valid'] else '  client late'}", flush=True)  # fmt: skip


def measured(options: argparse.Namespace) -> list[dict]:
    """Start the service and go through the table."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(server.stdout.readline())
        heads = "".join(f"{name:>23}" for name in ("TTFT p50", "TTFT p99", "E2E p50", "E2E p99"))
        print(
            f"{'req/s':>5} {'':>7}{heads}    late p50, p99\n{'':13}"
            + " truth ms measured error" * 4
        )
        rows: list[dict] = []
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            for rate in map(float, options.rates.split(",")):
                for whole in (False, True):
                    for _ in range(options.tries):
                        rows.append(row(port, options, rate=rate, whole=whole, file=file.name))
                        show(rows[-1])
                        if rows[-1]["valid"]:
                            break
    finally:
        server.kill()
        server.wait()
    return rows


def main() -> int:
    """Measure at every rate, streamed and not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", default="10,40,100", help="requests a second, comma separated")
    parser.add_argument("--requests", type=int, default=700, help="of each run; p99 needs 662")
    parser.add_argument("--arrivals", default="poisson", help="poisson, gamma or constant")
    parser.add_argument("--limit", type=float, default=0.02, help="what an error may be")
    parser.add_argument("--real-time", action="store_true", help="go first (needs root)")
    parser.add_argument("--tries", type=int, default=4, help="until the client calls a run valid")
    options = parser.parse_args()
    if options.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    rows = measured(options)
    valid = [made for made in rows if made["valid"]]
    worst = max((abs(e) for made in valid for e in made["errors"].values()), default=1.0)
    missing = 2 * len(options.rates.split(",")) - len(valid)
    facts = {"cores": os.cpu_count(), "python": platform.python_version(),
             "kernel": platform.release(), "limit": options.limit, "real_time": options.real_time,
             "arrivals": options.arrivals}  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"worst": worst, "rows": rows, "conditions": facts}, indent=1) + "\n")
    print(f"worst error of the valid runs {worst:.2%}, limit {options.limit:.0%}"
          f"{f'; {missing} without a valid run' if missing else ''}; "
          f"wrote bench/out/{OUT.name}")  # fmt: skip
    return int(worst > options.limit or missing > 0)


if __name__ == "__main__":
    sys.exit(main())
