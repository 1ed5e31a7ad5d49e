#!/usr/bin/env python3
"""What the gateway costs, beside nginx as a plain relay and, on request, beside other gateways.

The real gateway runs every feature: key check, limit, decision over two endpoints, headers, and one
usage record a request, which a small node writes durably (its CPU stands apart). Load generator,
mock engine and node share one core, the measured peer has the other; rounds alternate. Prints
medians and targets, writes bench/out/gateway.json; exit status 1 on faults or a missed target.

    make bench-gateway                                  # about four minutes
    make bench-gateway QUICK=1                          # about one
    make bench-gateway RIVALS=vllm-router,litellm       # installs them below bench/gateway/build
    .venv/bin/python bench/gateway/run.py --workloads ns32,st16 --rounds 7
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
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request

import verdict
from measure import BUILD, HERE, PATH, WORKLOADS, Peer, build, measure, write_bodies
from peers import EVERY, MODEL, RIVALS, Place, littoral, nginx, rival
from peers import WORKLOADS as MEASURED

OUT = HERE.parent / "out" / "gateway.json"
QUICK = ("ns32", "ns1", "st16")


def start(args: argparse.Namespace, work: pathlib.Path, stack: contextlib.ExitStack) -> list[Peer]:
    """Start the mock engine and the peers, ours last."""
    base = args.port_base
    mock = Peer("mock", base)
    stack.callback(mock.stop)
    mock.start([str(BUILD / "upstream"), str(base)], args.load_core, work / "mock.log")
    peers: list[Peer] = []

    def place() -> Place:
        return Place(base + 1 + len(peers), base, args.core, work)

    if shutil.which("nginx"):
        peers.append(nginx(place()))
        stack.callback(peers[-1].stop)
    else:
        print("nginx is not installed: no ratios to it (Debian: apt install nginx-light)")
    for name in filter(None, args.rivals.split(",")):
        started = rival(name, place())
        if isinstance(started, str):
            print(f"{name} is skipped: {started}")
        else:
            peers.append(started)
            stack.callback(started.stop)
    peers.append(littoral(place(), args.load_core))
    stack.callback(peers[-1].stop)
    return peers


def check(peer: Peer, engine: int) -> bool:
    """Run the black-box checks against the gateway."""
    url = f"http://127.0.0.1:{peer.port}{PATH}"
    command = [sys.executable, str(HERE / "check.py"), "--url", url, "--key", peer.key]
    command += ["--model", MODEL, "--mock", f"127.0.0.1:{engine}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("ok")) or done.stderr[-500:])
    return done.returncode == 0


def rounds(args: argparse.Namespace, work: pathlib.Path, peers: list[Peer]) -> verdict.Rounds:
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
                if name not in MEASURED.get(peer.name, (name,)):
                    continue
                peer.signal(signal.SIGCONT)
                time.sleep(0.05)
                figures = measure(peer, name, work, core=args.load_core)
                peer.signal(signal.SIGSTOP)
                found.setdefault(name, {}).setdefault(peer.name, []).append(figures)
    for peer in peers:
        peer.signal(signal.SIGCONT)
    return found


def conditions(args: argparse.Namespace) -> dict[str, object]:
    """What the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in info if "model name" in line), "unknown")
    relay, binary = "none", shutil.which("nginx")
    if binary:
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False)
        relay = done.stderr.strip().rpartition("/")[2]
    packages = ("uvloop", "httptools", "msgspec")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python built with": sysconfig.get_config_var("CONFIG_ARGS"),
        "nginx": relay,
        "rivals": [RIVALS[name] for name in filter(None, args.rivals.split(","))],
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "pinned": {"peer": args.core, "load generator, mock engine, node": args.load_core},
        **{name: importlib.metadata.version(name) for name in packages},
    }


def arguments() -> argparse.Namespace:
    """Read the command line, and what make hands on."""
    quick = bool(os.environ.get("QUICK"))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--workloads", default=",".join(QUICK if quick else EVERY))
    p.add_argument("--rounds", type=int, default=3 if quick else 5)
    p.add_argument("--rivals", default=os.environ.get("RIVALS", ""), help=", ".join(RIVALS))
    p.add_argument("--port-base", type=int, default=19001)
    p.add_argument("--load-core", type=int, default=0)
    p.add_argument("--core", type=int, default=1)
    args = p.parse_args()
    unknown = {*filter(None, args.rivals.split(","))} - {*RIVALS}
    unknown |= {*args.workloads.split(",")} - {*WORKLOADS}
    if unknown:
        p.error(f"unknown: {sorted(unknown)}; rivals {[*RIVALS]}, workloads {[*WORKLOADS]}")
    return args


def main() -> int:
    """Measure; the exit status."""
    args = arguments()
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
        found = rounds(args, work, peers)
    facts, table = conditions(args), verdict.medians(found)
    held = list(verdict.outcomes(found))
    verdict.show(table)
    print("; ".join(f"{k}: {v}" for k, v in facts.items()))
    for target, median, low, high in held:
        mark = "met   " if median <= target.most else "MISSED"
        bound = f"{target.most:.4g}"
        print(f"{mark} {target.title}: {median:.4g} [{low:.4g} to {high:.4g}], at most {bound}")
    targets = [
        {**each.target._asdict(), "median": each.median, "low": each.low, "high": each.high}
        for each in held
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = {"conditions": facts, "workloads": table, "targets": targets}
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    faults = sum(int(row["littoral"]["faults"]) for row in table.values())
    print(f"checks {'passed' if good else 'FAILED'}, {faults} faults")
    return int(not good or faults > 0 or not all(each.met for each in held))


if __name__ == "__main__":
    sys.exit(main())
