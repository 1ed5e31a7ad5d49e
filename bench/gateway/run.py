#!/usr/bin/env python3
"""What the gateway costs, beside nginx as a plain relay: CPU per request and per event, latency.

The real gateway runs every feature: key check, request limit, decision over two endpoints, headers,
and one usage record a request, which a small node writes durably (its CPU stands apart). Load
generator, mock engine and node share one core, the measured peer has the other; rounds alternate.
Prints a table, writes bench/out/gateway.json; exit status 1 on errors, or where CPU per request is
over --limit times nginx.

    make bench-gateway
    .venv/bin/python bench/gateway/run.py --workloads ns32,st16 --rounds 5
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from measure import BUILD, HERE, PATH, WORKLOADS, Peer, build, measure, write_bodies

OUT = HERE.parent / "out" / "gateway.json"
FIELDS = ("us_request", "us_event", "us_record", "rps", "p50", "p99", "ev99", "pss_mb")
MODEL = "bench-model"


def nginx_of(work: pathlib.Path, port: int, engine: int) -> list[str]:
    """Write nginx's configuration; the command that runs it."""
    text = (HERE / "conf" / "nginx.conf").read_text()
    for word, value in {"PORT": port, "UPSTREAM": engine, "DIR": work}.items():
        text = text.replace(f"@{word}@", str(value))
    (work / "nginx.conf").write_text(text)
    return ["nginx", "-e", str(work / "nginx.err"), "-c", str(work / "nginx.conf")]


def start(
    args: argparse.Namespace, work: pathlib.Path, stack: contextlib.ExitStack
) -> tuple[Peer, ...]:
    """Start the mock engine and the peers."""
    base = args.port_base
    mock = Peer("mock", base)
    stack.callback(mock.stop)
    mock.start([str(BUILD / "upstream"), str(base)], args.load_core, work / "mock.log")
    peers = []
    if shutil.which("nginx"):
        nginx = Peer("nginx", base + 1)
        stack.callback(nginx.stop)
        nginx.start(nginx_of(work, base + 1, base), args.core, work / "nginx.log")
        peers.append(nginx)
    else:
        print("nginx is not installed: no ratio (Debian: apt install nginx-light)")
    ours = Peer("littoral", base + 2)
    stack.callback(ours.stop)
    command = [sys.executable, str(HERE / "node.py"), str(base + 2), str(base)]
    command += ["taskset", "-c", str(args.core)]
    ours.start(command, args.load_core, work / "littoral.log")
    return (*peers, ours)


def check(peer: Peer, engine: int) -> bool:
    """Run the black-box checks against the gateway."""
    url = f"http://127.0.0.1:{peer.port}{PATH}"
    command = [sys.executable, str(HERE / "check.py"), "--url", url, "--key", peer.key]
    command += ["--model", MODEL, "--mock", f"127.0.0.1:{engine}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("ok")) or done.stderr[-500:])
    return done.returncode == 0


def rounds(
    args: argparse.Namespace, work: pathlib.Path, peers: tuple[Peer, ...]
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Alternate over the peers; every figure of every round, by workload and peer."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for peer in peers:
        measure(peer, "ns32", work, core=args.load_core)
        peer.signal(signal.SIGSTOP)
    for number in range(args.rounds):
        for name in args.workloads.split(","):
            control = f"http://127.0.0.1:{args.port_base}/ctl?pace={WORKLOADS[name].pace_us}&cut=0"
            urllib.request.urlopen(control).read()
            for peer in peers if number % 2 else peers[::-1]:
                peer.signal(signal.SIGCONT)
                time.sleep(0.05)
                figures = measure(peer, name, work, core=args.load_core)
                peer.signal(signal.SIGSTOP)
                found.setdefault(name, {}).setdefault(peer.name, []).append(figures)
    for peer in peers:
        peer.signal(signal.SIGCONT)
    return found


def summary(found: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, dict[str, object]]:
    """One object a workload: each peer's medians, and our ratio to nginx."""
    out: dict[str, dict[str, object]] = {}
    for name, peers in found.items():
        row: dict[str, object] = {}
        for peer, runs in peers.items():
            values = {f: [r[f] for r in runs if r.get(f)] for f in FIELDS}
            row[peer] = {f: round(statistics.median(v), 3) for f, v in values.items() if v}
            row[peer] |= {"faults": sum(int(r["faults"]) for r in runs), "rounds": len(runs)}
        ours, theirs = row["littoral"], row.get("nginx", {})
        row["ratio"] = {
            f: round(ours[f] / theirs[f], 3)
            for f in ("us_request", "us_event", "p50", "p99")
            if f in ours and theirs.get(f)
        }
        out[name] = row
    return out


def conditions(args: argparse.Namespace) -> dict[str, object]:
    """What the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in info if "model name" in line), "unknown")
    nginx, binary = "none", shutil.which("nginx")
    if binary:
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False)
        nginx = done.stderr.strip().rpartition("/")[2]
    packages = ("uvloop", "httptools", "msgspec")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": nginx,
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "pinned": {"peer": args.core, "load generator, mock engine, node": args.load_core},
        **{name: importlib.metadata.version(name) for name in packages},
    }


def show(table: dict[str, dict[str, object]], facts: dict[str, object]) -> None:
    """Print medians, ratios and conditions."""
    columns = ("us_request", "us_event", "us_record", "rps", "p50", "p99", "ev99", "pss_mb")
    print(f"{'workload':9}{'peer':10}" + "".join(f"{c:>12}" for c in columns) + f"{'faults':>8}")
    for name, row in table.items():
        for peer, figures in row.items():
            cells = (figures.get(c) for c in columns)
            text = "".join(f"{'' if v is None else round(v, 2):>12}" for v in cells)
            print(f"{name:9}{peer:10}{text}{figures.get('faults', ''):>8}")
    print("us_* are CPU microseconds; us_record is the node's, for the durable record; times in us")
    print("; ".join(f"{k}: {v}" for k, v in facts.items()))


def main() -> int:
    """Measure; the exit status."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--workloads", default="ns32,ns1,ns8k,st16,paced,c500")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--limit", type=float, default=4.0, help="most CPU per request, times nginx's")
    p.add_argument("--port-base", type=int, default=19001)
    p.add_argument("--load-core", type=int, default=0)
    p.add_argument("--core", type=int, default=1)
    args = p.parse_args()
    if (os.cpu_count() or 1) < 2 or not shutil.which(os.environ.get("CC", "cc")):
        print("skipped: this benchmark needs two cores and a C compiler")
        return 0
    build()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        write_bodies(MODEL, work)
        peers = start(args, work, stack)
        good = check(peers[-1], args.port_base)
        table = summary(rounds(args, work, peers))
    facts = conditions(args)
    show(table, facts)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"conditions": facts, "workloads": table}, indent=1) + "\n")
    faults = sum(row["littoral"]["faults"] for row in table.values())
    ratio = table.get("ns32", {}).get("ratio", {}).get("us_request", 0.0)
    print(f"checks {'passed' if good else 'FAILED'}, {faults} faults", end="; ")
    print(f"CPU per request {ratio} times nginx (limit {args.limit})" if ratio else "no ratio")
    return int(not good or faults > 0 or ratio > args.limit)


if __name__ == "__main__":
    sys.exit(main())
