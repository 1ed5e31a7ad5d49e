"""``kill -9`` of a process that appends under load: nothing acknowledged is lost or doubled."""

import os
import random  # noqa: TID251  repeatable by its seed
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import anyio
import pytest

from littoral.domain.ids import NodeId
from littoral.domain.ports import Outbox
from littoral.stores.outbox import SqliteOutbox
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.ledger import MemoryLedger
from littoral.testing.sink import ListSink

NODE = NodeId("nd_1")
DELIVER_EVERY = 10
# It forks one writer for each line on its input, so that imports are paid once.
NURSERY = """
import os, sys
import anyio
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

async def load(path, life):
    async def caller(outbox, task):
        step = 0
        while True:
            name = f"{life}/{task}/{step}"
            last = await outbox.append([usage_record(name), usage_record(name + "+")])
            os.write(1, f"ack {last} {name}\\n".encode())
            step += 1
    async with SqliteOutbox.open(
        path, clock=SettableClock(), entropy=SeededEntropy(int(life)),
        failpoints=ArmedFailpoints(), sink=ListSink(), tuning=Tuning(checkpoint_frames=20),
    ) as outbox, anyio.create_task_group() as group:
        for task in range(8):
            group.start_soon(caller, outbox, task)

path = sys.argv[1]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        anyio.run(load, path, line.strip())
    os.write(1, f"born {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def live_and_die(writer: IO[str], reader: IO[str], life: int, acks: int) -> dict[str, int]:
    """One life: killed after some acknowledgements; every one it printed, with its number."""
    writer.write(f"{life}\n")
    writer.flush()
    seen: dict[str, int] = {}
    child, killed = 0, False
    for line in reader:
        word, _, rest = line.strip().partition(" ")
        match word:
            case "born":
                child = int(rest)
            case "ack":
                last, _, name = rest.partition(" ")
                seen |= {f"rq_{name}": int(last) - 1, f"rq_{name}+": int(last)}
            case _:
                return seen
        if child and not killed and len(seen) >= acks:
            os.kill(child, signal.SIGKILL)
            killed = True
    return seen


async def deliver(outbox: Outbox, ledger: MemoryLedger) -> dict[str, int]:
    """Send everything to the ledger; the number of each record it was sent under."""
    sent: dict[str, int] = {}
    while (batch := await outbox.read("ledger", ledger.cursor(NODE, outbox.name).seq, 500)).rows:
        sent |= {row.usage.request: row.seq for row in batch.rows if row.usage is not None}
        assert ledger.apply(NODE, outbox.name, batch).judgement == "applied"
    mark = ledger.cursor(NODE, outbox.name)
    await outbox.stored("ledger", mark, safe=mark.seq)
    return sent


def run_lives(path: str, lives: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    sink, ledger = ListSink(), MemoryLedger()
    acked: dict[str, int] = {}
    sent: dict[str, int] = {}
    names: set[str] = set()

    async def drain() -> None:
        async with SqliteOutbox.open(
            path,
            clock=SettableClock(),
            entropy=SeededEntropy(99),
            failpoints=ArmedFailpoints(),
            sink=sink,
        ) as outbox:
            names.add(outbox.name)
            sent.update(await deliver(outbox, ledger))

    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for life in range(lives):
            acks = rng.randrange(200)
            acked |= live_and_die(nursery.stdin, nursery.stdout, life, acks)
            if life % DELIVER_EVERY == DELIVER_EVERY - 1:
                anyio.run(drain)
        nursery.stdin.close()
    anyio.run(drain)

    assert sink.events == []
    assert len(names) == 1
    lost = {name for name, seq in acked.items() if sent.get(name) != seq}
    assert lost == set()
    assert len(acked) > lives
    # Every number carried another record, and every record counts once.
    assert ledger.cursor(NODE, names.pop()).seq == len(sent)
    assert ledger.sums(by=[])[0].requests == ledger.sums(by=[])[0].tokens_out == len(sent)


def test_a_few_kills_lose_and_double_nothing(tmp_path: Path):
    run_lives(str(tmp_path / "outbox.db"), lives=5, seed=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_and_fifty_kills_lose_and_double_nothing(tmp_path: Path):
    run_lives(str(tmp_path / "outbox.db"), lives=250, seed=5)
