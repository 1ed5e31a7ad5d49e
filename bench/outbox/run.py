#!/usr/bin/env python3
"""Usage records per second that are synced to disk, and what each costs.

Some callers append one record at a time and wait for it. Between the rounds a plain file is
written and synced on the same disk, one 4 KiB block at a time: the ratio says how many records
share a sync.
Prints medians over the rounds, writes ``bench/out/outbox.json``.

    make bench-outbox
    .venv/bin/python bench/outbox/run.py --waiters 1,16,256 --rounds 5 --seconds 1
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import anyio

from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.outbox import MANY, Mark
from littoral.stores.outbox import SqliteOutbox
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

OUT = Path(__file__).parents[1] / "out" / "outbox.json"


async def append(path: str, waiters: int, seconds: float) -> dict[str, float]:
    """One round: callers append for some time while a reader drops what it has stored."""
    waits: list[float] = []
    async with SqliteOutbox.open(
        path,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        failpoints=SystemFailpoints(),
        sink=ListSink(),
    ) as outbox:
        await outbox.append([usage_record("first")])
        began, cpu = time.perf_counter(), time.process_time()

        async def caller(number: int) -> None:
            step = 0
            while (start := time.perf_counter()) - began < seconds:
                await outbox.append([usage_record(f"{number}/{step}")])
                waits.append(time.perf_counter() - start)
                step += 1

        async def drain() -> None:
            stored = Mark()
            while time.perf_counter() - began < seconds:
                await anyio.sleep(seconds / 20)
                while (batch := await outbox.read("ledger", stored.seq, MANY)).rows:
                    stored = batch.end
                await outbox.stored("ledger", stored, safe=stored.seq)

        async with anyio.create_task_group() as group:
            group.start_soon(drain)
            for number in range(waiters):
                group.start_soon(caller, number)
        took, used = time.perf_counter() - began, time.process_time() - cpu
    waits.sort()
    return {
        "records_per_s": len(waits) / took,
        "cpu_us_per_record": used / len(waits) * 1e6,
        "p50_ms": waits[len(waits) // 2] * 1e3,
        "p99_ms": waits[len(waits) * 99 // 100] * 1e3,
    }


def syncs_per_s(folder: str, seconds: float) -> float:
    """Writes of one block, each synced, in a file of its own: what the disk can do."""
    count, block = 0, os.urandom(4096)
    with Path(folder, "plain").open("wb", buffering=0) as file:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            file.write(block)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--waiters", default="1,16,256", help="callers at the same time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round")
    parser.add_argument("--folder", default=".", help="where the files go: the disk to measure")
    options = parser.parse_args()
    rounds: dict[int, list[dict[str, float]]] = {int(n): [] for n in options.waiters.split(",")}
    disk: dict[int, list[float]] = {waiters: [] for waiters in rounds}
    for number in range(options.rounds):
        for waiters, found in rounds.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                disk[waiters].append(syncs_per_s(folder, options.seconds / 2))
                path = str(Path(folder, "outbox.db"))
                found.append(anyio.run(append, path, waiters, options.seconds))
        print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result: dict[str, dict[str, float | str]] = {}
    print(" waiters  records/s  CPU us  p50 ms  p99 ms  syncs/s ratio")
    for waiters, found in rounds.items():
        row = {name: statistics.median(each[name] for each in found) for name in found[0]}
        row["disk_syncs_per_s"] = statistics.median(disk[waiters])
        row["ratio"] = row["records_per_s"] / row["disk_syncs_per_s"]
        result[f"{waiters} waiters"] = {k: round(v, 3) for k, v in row.items()} | {
            "machine": machine
        }
        print(
            f"{waiters:>8} {row['records_per_s']:>10.0f} {row['cpu_us_per_record']:>7.1f} "
            f"{row['p50_ms']:>7.2f} {row['p99_ms']:>7.2f} {row['disk_syncs_per_s']:>8.0f} "
            f"{row['ratio']:.2f}"
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"wrote bench/out/{OUT.name}; {machine}")


if __name__ == "__main__":
    main()
