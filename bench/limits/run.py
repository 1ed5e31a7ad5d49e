#!/usr/bin/env python3
"""What limits cost, and how soon a revoked key is refused everywhere.

    make bench-limits
    .venv/bin/python bench/limits/run.py --rounds 20 --workers 4

First the critical section alone, in microseconds of one admission and one settlement: without a
lock, with the lock of several gateways, and with processes that fight for it. Then a whole site on
a port of its own: in each round a key has streams open in all gateways, is revoked through the
admin API, and both the end of each stream and the first refusal of a new request are timed from the
moment at which the revocation was sent. Prints a table and writes bench/out/limits.json.
"""

import argparse
import json
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from http.client import HTTPException

from littoral.app.quota_file import quota_file
from littoral.app.settings import Settings
from littoral.domain.limits import Budget, Limits
from littoral.domain.quota import QuotaTable, Use
from littoral.gateway.quota import Gate, Quotas
from littoral.gateway.refusal import Refusal
from littoral.testing.quota import bound_whole, quota_table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))
from e2e.conftest import Site

OUT = pathlib.Path(__file__).resolve().parents[1] / "out" / "limits.json"
KINDS = {
    "requests a minute": Limits(requests_per_minute=60_000_000),
    "all four": Limits(
        requests_per_minute=60_000_000,
        tokens_per_minute=60_000_000_000,
        concurrent=4096,
        budget=Budget(amount=1e9, period="total"),
    ),
}
PAIRS = 20_000
STREAMS = 8


def pair_us(table: QuotaTable, limits: Limits) -> float:
    """Microseconds of one admission and its settlement; best of five rounds."""
    bound_whole(table, {"bench": limits}, {"bench": 0})
    quotas, gates = Quotas(table), (Gate(limits, 0, "bench"),)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for number in range(PAIRS):
            use = Use(100, 1000, 1_000, number)
            found = quotas.admit(gates, use, 1)
            if isinstance(found, Refusal):
                raise SystemExit(found.message)
            quotas.seal()
            if found.rows:
                quotas.settle(found, 1, use)
                quotas.seal()
        best = min(best, time.perf_counter() - began)
    return best / PAIRS * 1e6


def fight(at: tuple[str, int], kind: str, results: "multiprocessing.Queue[float]") -> None:
    """One of several processes that share a table: its folder, and which one it is."""
    folder, worker = at
    settings = Settings(data_dir=folder, gateway_workers=4)
    with quota_file(settings, mine=worker + 1) as table:
        results.put(pair_us(table, KINDS[kind]))


def fought_us(folder: str, kind: str, count: int) -> float:
    """The median of what each of ``count`` processes saw, all at work at one time."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[float] = context.Queue()
    crew = [
        context.Process(target=fight, args=((folder, each), kind, results)) for each in range(count)
    ]
    for each in crew:
        each.start()
    found = [results.get() for _ in crew]
    for each in crew:
        each.join()
    return statistics.median(found)


def sections() -> dict[str, dict[str, float]]:
    """The critical section, by kind of limits and number of processes."""
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "run").mkdir()
        with quota_file(Settings(data_dir=folder, gateway_workers=4), mine=0):
            for kind, limits in KINDS.items():
                row = table[kind] = {"no lock": pair_us(quota_table(), limits)}
                for count in (1, 2):
                    row[f"lock, {count} at work"] = fought_us(folder, kind, count)
    return table


class Stream(threading.Thread):
    """One open stream; ``ended`` is when its last byte came."""

    def __init__(self, site: Site, key: str, opened: threading.Barrier) -> None:
        super().__init__()
        self.site, self.key, self.opened = site, key, opened
        self.ended = 0.0

    def run(self) -> None:
        """Read until it is cut."""
        message = {"role": "user", "content": "word " * 1000}
        body = {"model": "slow", "max_tokens": 900, "stream": True, "messages": [message]}
        with self.site.open("POST", "/v1/chat/completions", body, key=self.key) as reply:
            reply.readline()
            self.opened.wait(30)
            try:
                reply.read()
            except HTTPException:
                self.ended = time.monotonic()


def revoke_once(site: Site) -> tuple[list[float], float, float]:
    """Seconds until each stream ended, until no new request passed, until the API answered."""
    made = site.request("POST", "/api/v1/keys", {"name": "gone", "scopes": ["infer"]})[1]
    opened = threading.Barrier(STREAMS + 1)
    crew = [Stream(site, made["secret"], opened) for _ in range(STREAMS)]
    for each in crew:
        each.start()
    opened.wait(30)
    began = time.monotonic()
    last = [began]

    def probe() -> None:
        while time.monotonic() < began + 1.5:
            if site.request("GET", "/v1/models", key=made["secret"])[0] == 200:
                last[0] = time.monotonic()

    prober = threading.Thread(target=probe)
    prober.start()
    site.request("DELETE", f"/api/v1/keys/{made['key']['id']}")
    answered = time.monotonic() - began
    for each in (*crew, prober):
        each.join()
    return [each.ended - began for each in crew], last[0] - began, answered


def revocations(workers: int, rounds: int) -> dict[str, list[float]]:
    """All rounds on one site."""
    seen: dict[str, list[float]] = {"stream ended": [], "last accepted": [], "api answered": []}
    with tempfile.TemporaryDirectory() as folder:
        site = Site(
            pathlib.Path(folder, "data"), environ={"LITTORAL_GATEWAY_WORKERS": str(workers)}
        )
        site.start()
        try:
            site.deploy("slow", engine="fake", model="echo", slots=64, options={"tpot_ms": 20})
            for _ in range(rounds):
                ends, accepted, answered = revoke_once(site)
                seen["stream ended"] += ends
                seen["last accepted"].append(accepted)
                seen["api answered"].append(answered)
        finally:
            site.stop()
    return seen


def main() -> None:
    """Measure, print, write."""
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--workers", type=int, default=4)
    args = p.parse_args()
    table = sections()
    for kind, row in table.items():
        print(kind + ": " + ", ".join(f"{name} {us:.1f} us" for name, us in row.items()))
    seen = revocations(args.workers, args.rounds)
    for name, values in seen.items():
        ordered = sorted(value * 1000 for value in values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        print(f"revoked, {name}: median {statistics.median(ordered):.0f} ms, p99 {p99:.0f} ms,")
        print(f"    most {ordered[-1]:.0f} ms of {len(ordered)}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"sections_us": table, "revocation_s": seen}, indent=1))


if __name__ == "__main__":
    main()
