#!/usr/bin/env python3
"""What sessions cost their listener: handshakes a second, memory of each, CPU of beats.

One process listens, another one opens many sessions over loopback with TLS on both sides and beats
in each. Prints one line of JSON, writes ``bench/out/sessions.json``.

    .venv/bin/python bench/fleet/sessions.py --sessions 500 --beat 5 --seconds 30
"""

import argparse
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "session"))
from ends import network, read_card, write_card  # noqa: E402  its folder is known only from here on

from cluster import Cluster  # noqa: E402  as above
from littoral.domain.link import Shown  # noqa: E402  as above
from littoral.domain.ports import Channel, ChannelClosed  # noqa: E402  as above
from littoral.domain.session import Beat  # noqa: E402  as above

OUT = HERE.parent / "out" / "sessions.json"
PAGE = resource.getpagesize()
Ask = Callable[[], dict[str, float]]


async def serve(address: str, shown: Shown) -> None:
    """Take beats; say what this process has used after each line on standard input."""

    async def take(channel: Channel) -> None:
        while True:
            await channel.receive()

    def used() -> str:
        resident = int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * PAGE
        return json.dumps({"cpu_s": time.process_time(), "rss": resident})

    async with network(shown).listen(address, take):
        print("ready", flush=True)
        while await anyio.to_thread.run_sync(sys.stdin.readline):
            print(used(), flush=True)


async def fleet(given: argparse.Namespace, address: str, ask: Ask) -> dict[str, float]:
    """Open all sessions, then beat in each for some time."""
    cards = given.cards
    opened = anyio.Semaphore(0)
    beating = anyio.Event()
    waits: list[float] = []

    async def node(card: Shown, phase: float) -> None:
        while True:
            try:
                async with network(card).dial(address) as channel:
                    await channel.send(Beat(number=0))
                    opened.release()
                    await beating.wait()
                    await anyio.sleep(phase * given.beat)
                    for number in range(1, 1_000_000):
                        await channel.send(Beat(number=number))
                        await anyio.sleep(given.beat)
                        waits.append(channel.link().p90_s)
            except* ChannelClosed:
                await anyio.sleep(1)

    before, began = ask(), time.monotonic()
    async with anyio.create_task_group() as group:
        for number, card in enumerate(cards):
            group.start_soon(node, card, number / len(cards))
        for _ in cards:
            await opened.acquire()
        took = time.monotonic() - began
        await anyio.sleep(given.beat)
        there = ask()
        beating.set()
        spent = -ask()["cpu_s"]
        await anyio.sleep(given.seconds)
        spent += ask()["cpu_s"]
        group.cancel_scope.cancel()
    return told(before, there, count=len(cards)) | {
        "all_open_s": round(took, 2),
        "beat_s": given.beat,
        "cpu_percent": round(100 * spent / given.seconds, 2),
        "rtt_p90_median_ms": round(1000 * sorted(waits)[len(waits) // 2], 1),
    }


def told(before: dict[str, float], after: dict[str, float], *, count: int) -> dict[str, float]:
    """What opening cost the listener, each."""
    return {
        "sessions": count,
        "cpu_ms_a_handshake": round(1000 * (after["cpu_s"] - before["cpu_s"]) / count, 2),
        "kib_a_session": round((after["rss"] - before["rss"]) / 1024 / count, 1),
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--beat", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--serve", nargs=2, metavar=("ADDRESS", "CARD"))
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    if given.serve:
        address, card = given.serve
        anyio.run(serve, address, read_card(card))
        return
    cluster = Cluster()
    given.cards = [cluster.node(f"nd_{number}") for number in range(given.sessions)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"wss://127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder, "card")
        write_card(cluster.control(), card)
        command = [sys.executable, __file__, "--serve", address, str(card)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            child.stdout.readline()

            def ask() -> dict[str, float]:
                child.stdin.write("\n")
                child.stdin.flush()
                return json.loads(child.stdout.readline())

            found = anyio.run(fleet, given, address, ask)
            child.terminate()
    print(json.dumps(found))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2), "utf-8")


if __name__ == "__main__":
    main()
