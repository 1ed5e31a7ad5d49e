#!/usr/bin/env python3
"""How long control waits on a bad link while bulk travels: 256 kbit/s, 300 ms, some loss.

Real processes in two network namespaces speak over a relay of TUN devices. The near end beats four
times a second and each beat is answered; meanwhile it pours data up, takes data down in the same
session, or downloads beside it. Prints a table, writes ``bench/out/session.json``. Needs Linux and
root, and says so where it has neither.

    sudo .venv/bin/python bench/session/run.py --seconds 30 --losses 0,5,10
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from cluster import Cluster  # noqa: E402  its folder is known only from here on
from lab.tun import IP, Weather, missing, wan  # noqa: E402  as above

OUT = HERE.parent / "out" / "session.json"
RATE = 32_000.0
LOADS = {
    "idle": [],
    "up": ["--up"],
    "up and down": ["--up", "--down"],
    "up, download beside at 60 %": ["--up", f"--bulk={0.6 * RATE:.0f}"],
}


def once(weather: Weather, words: list[str], *, seconds: float, seed: int) -> dict[str, object]:
    """One load on one link."""
    cluster = Cluster()
    with (
        tempfile.TemporaryDirectory() as folder,
        wan(seed) as (near, far, relay),
        relay.running(),
    ):
        cards = {"far": cluster.control(), "near": cluster.node("nd_1")}
        for name, shown in cards.items():
            Path(folder, name).write_text(json.dumps(asdict(shown)), "utf-8")
        relay.set(weather)
        children = []
        try:
            for end, space in (("far", far), ("near", near)):
                command = [IP, "netns", "exec", space, sys.executable, str(HERE / "peer.py")]
                command += [end, str(Path(folder, end)), *words, f"--seconds={seconds}"]
                children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
                time.sleep(1.5)
            told, _ = children[1].communicate(timeout=seconds + 60)
        finally:
            for child in children:
                child.kill()
                child.wait()
        return json.loads(told) | {"sent_up": relay.up.octets, "sent_down": relay.down.octets}


def row(loss: float, load: str, found: dict[str, object]) -> dict[str, object]:
    """One line of the table."""
    waits = sorted(found["waits"])
    return {
        "loss": loss,
        "load": load,
        "beats": len(waits),
        "p50_s": round(statistics.median(waits), 2),
        "p95_s": round(waits[min(len(waits) - 1, len(waits) * 95 // 100)], 2),
        "max_s": round(waits[-1], 2),
        "up_kB_s": round(found["goodput"] / 1000, 1),
        "down_kB_s": round((found["down_session"] + found["down_beside"]) / 1000, 1),
        "resumed": found["resumed"],
    }


def main() -> int:
    """Run every load on every link."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--losses", default="0,5,10", help="percent of packets, comma-separated")
    parser.add_argument("--loads", default=",".join(map(str, range(len(LOADS)))))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if why := missing():
        print(f"skipped: {why}")
        return 0
    rows = []
    base = Weather(delay_s=0.15, rate=RATE, queue_s=0.5)
    chosen = [list(LOADS)[int(at)] for at in given.loads.split(",")]
    for loss in map(float, given.losses.split(",")):
        for load in chosen:
            weather = replace(base, loss=loss / 100)
            found = once(weather, LOADS[load], seconds=given.seconds, seed=given.seed)
            rows.append(row(loss, load, found))
            print(json.dumps(rows[-1]), flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
