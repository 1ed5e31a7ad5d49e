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
import sys
from dataclasses import replace
from pathlib import Path

from ends import measured, waits

from lab.tun import Weather, missing

HERE = Path(__file__).parent
OUT = HERE.parent / "out" / "session.json"
RATE = 32_000.0
LOADS = {
    "idle": [],
    "up": ["--up"],
    "up and down": ["--up", "--down"],
    "up, download beside at 60 %": ["--up", f"--bulk={0.6 * RATE:.0f}"],
}


def row(loss: float, load: str, found: dict[str, object]) -> dict[str, object]:
    """One line of the table."""
    return {
        "loss": loss,
        "load": load,
        **waits(found),
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
            found = measured(
                HERE / "peer.py",
                LOADS[load],
                weather=weather,
                seconds=given.seconds,
                seed=given.seed,
            )
            rows.append(row(loss, load, found))
            print(json.dumps(rows[-1]), flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
