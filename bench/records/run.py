#!/usr/bin/env python3
"""Bytes that control keeps of each request, and how many it puts away and reads back a second.

Usage records of three nodes, as gateways make them, go through the ledger into columns; then they
are read back: whole records, as reports do, and four columns alone. Times are CPU time of this
process, so what a busy machine does meanwhile does not count; syncs do not count either.
Prints the figures, writes ``bench/out/records.json``.

    make bench-records
    .venv/bin/python bench/records/run.py --records 200000 --seed 1
"""

import argparse
import json
import platform
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from littoral.app.system import SystemClock, SystemFailpoints
from littoral.control.archive import Archive, ArchiveParts
from littoral.control.worker import Workers
from littoral.domain.chunk import ALL, FIRST
from littoral.domain.decided import decided
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, RequestId, new_id
from littoral.domain.units import Bytes, Micros, Tokens
from littoral.domain.usage import UsageRecord
from littoral.placement import columns
from littoral.placement.account import endpoints
from littoral.placement.history import Priced
from littoral.stores.chunks import SqliteChunks
from littoral.stores.ledger import SqliteLedger
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_batch, usage_record

OUT = Path(__file__).parents[1] / "out" / "records.json"
T = TypeVar("T")
BEGAN = 1_790_000_000_000_000
NODES = tuple(NodeId(f"nd_{name}") for name in ("harbour", "quay", "cloud"))


def record(number: int, draw: random.Random) -> UsageRecord:
    """One request: log-normal sizes, a prediction with an error, money where it was not local."""
    near = draw.random() < 0.7
    name = "edge" if near else "cloud"
    tokens_in, tokens_out = (round(draw.lognormvariate(mean, 0.7)) + 1 for mean in (5.0, 4.0))
    took_s = 0.02 + 0.001 * tokens_in + 0.02 * tokens_out
    at_us = BEGAN + number * 200_000 + draw.randrange(200_000)
    return usage_record(
        number,
        request=RequestId(new_id("req", wall=Micros(at_us), noise=draw.randbytes(10))),
        key=KeyId(f"key_{draw.randrange(5)}"),
        model="chat",
        deployment=DeploymentName(name),
        endpoint=EndpointId(f"{name}@3"),
        tokens_in=Tokens(tokens_in),
        tokens_cached=Tokens(draw.choice((0, 0, tokens_in // 2))),
        tokens_out=Tokens(tokens_out),
        at_us=Micros(at_us),
        first_us=round(1e6 * (0.02 + 0.001 * tokens_in)),
        total_us=round(1e6 * took_s * draw.lognormvariate(0.0, 0.3)),
        predicted_us=round(1e6 * took_s),
        predicted_p90_us=round(1.5e6 * took_s),
        cost=0.0 if near else (tokens_in * 0.15 + tokens_out * 0.6) / 1e6,
        decided=decided("cheapest" if near else "least_miss", (0, 0, 0, 0, not near, 0)),
    )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its CPU seconds."""
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def measure(count: int, seed: int) -> dict[str, float]:
    """Put so many records away and read them back."""
    draw = random.Random(seed)  # noqa: S311  a benchmark
    made = [record(number, draw) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path, sink = f"{folder}/records.db", ListSink()
        with (
            SqliteLedger.open(f"{folder}/ledger.db", failpoints=SystemFailpoints()) as ledger,
            SqliteChunks.open(path, clock=SystemClock(), sink=sink) as chunks,
        ):
            for at, node in enumerate(NODES):
                mine = made[at :: len(NODES)]
                for first in range(0, len(mine), 500):
                    ledger.apply(node, "ob", usage_batch(mine[first : first + 500], first + 1))

            async def prices() -> Mapping[str, Priced]:
                """Nothing costs anything."""
                return {}

            archive = Archive(
                ArchiveParts(
                    ledger=ledger,
                    chunks=chunks,
                    clock=SystemClock(),
                    sink=sink,
                    workers=Workers(),
                    prices=prices,
                    report=print,
                )
            )
            _, put_s = timed(partial(anyio.run, archive.settle))
            found = chunks.chunks(ALL, after=FIRST, most=Bytes(1 << 40))
            wanted = ("model", "endpoint", "predicted_p90_us", "total_us")
            _, some_s = timed(lambda: [columns.columns(each.body, wanted) for each in found])
            read, read_s = timed(lambda: [r for each in found for r in columns.records(each.body)])
            _, told_s = timed(lambda: endpoints(read))
            level = chunks.level()
        whole = Path(f"{folder}/ledger.db").stat().st_size
    if {each.request for each in read} != {each.request for each in made}:
        raise SystemExit("what was read back is not what was put away")
    return {
        "records": float(level.records),
        "chunks": float(level.chunks),
        "bytes_per_record": level.size / level.records,
        "ledger_bytes_per_record": whole / count,
        "put_per_s": count / put_s,
        "read_per_s": count / read_s,
        "four_columns_per_s": count / some_s,
        "reported_per_s": count / told_s,
    }


def main() -> None:
    """Measure and say so."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    figures = measure(given.records, given.seed)
    for name, value in figures.items():
        print(f"{name:<26}{value:>14,.1f}")
    OUT.parent.mkdir(exist_ok=True)
    about = {"seed": given.seed, "python": platform.python_version(), "cpu": platform.machine()}
    OUT.write_text(json.dumps({**about, **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
