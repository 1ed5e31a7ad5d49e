"""One end of a session over a bad link: the far one answers, the near one loads it and measures.

Started by ``run.py`` inside a network namespace.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from cluster import NAME
from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.network import LinkNetwork, LinkParts
from littoral.domain.link import Shown
from littoral.app.system import SystemChance, SystemClock, SystemEntropy
from littoral.domain.ports import Channel
from littoral.domain.session import Beat, Data, Stored

ADDRESS = "wss://10.231.9.1:8445"
BULK_PORT = 8446
PIECE = 16 * 1024
EVERY_S = 0.25


def network(card: str) -> LinkNetwork:
    """Sessions with the certificate that was handed over in a file."""
    shown = Shown(**json.loads(Path(card).read_text("utf-8")))

    async def told() -> Shown:
        return shown

    clock = SystemClock()
    return LinkNetwork(
        LinkParts(
            carrier=SocketCarrier(CarrierParts(shown=told, clock=clock, name=NAME)),
            clock=clock,
            chance=SystemChance(),
            entropy=SystemEntropy(),
        )
    )


async def pour(channel: Channel, stream: int) -> None:
    """Send as much as the lane takes."""
    while True:
        await channel.send(Data(stream=stream, body=os.urandom(PIECE)))


async def far(card: str, down: bool, bulk: float) -> None:
    """Answer each beat; pour data down where asked, and bytes beside the session."""

    async def serve(channel: Channel) -> None:
        async with anyio.create_task_group() as group:
            if down:
                group.start_soon(pour, channel, 2)
            while True:
                frame = await channel.receive()
                if isinstance(frame, Beat):
                    await channel.send(Stored(outbox="", upto=frame.number))

    async def download(stream: anyio.abc.SocketStream) -> None:
        """An artefact that comes over a connection of its own, held to a rate."""
        began, sent = time.monotonic(), 0
        while True:
            await stream.send(os.urandom(1400))
            sent += 1400
            await anyio.sleep(max(0.0, began + sent / bulk - time.monotonic()))

    async with network(card).listen(ADDRESS, serve):
        if not bulk:
            await anyio.sleep_forever()
        listener = await anyio.create_tcp_listener(local_host="10.231.9.1", local_port=BULK_PORT)
        await listener.serve(download)


async def near(card: str, up: bool, seconds: float, bulk: bool) -> dict[str, object]:
    """Beat and load for some time; how long answers took, and what else went through."""
    sent: dict[int, float] = {}
    waits: list[float] = []
    came = {"session": 0, "beside": 0}
    async with network(card).dial(ADDRESS) as channel, anyio.create_task_group() as group:

        async def hear() -> None:
            while True:
                frame = await channel.receive()
                if isinstance(frame, Stored):
                    waits.append(time.monotonic() - sent.pop(frame.upto))
                elif isinstance(frame, Data):
                    came["session"] += len(frame.body)

        async def fetch() -> None:
            stream = await anyio.connect_tcp("10.231.9.1", BULK_PORT)
            while True:
                came["beside"] += len(await stream.receive())

        group.start_soon(hear)
        if up:
            group.start_soon(pour, channel, 1)
        if bulk:
            group.start_soon(fetch)
        await anyio.sleep(3)
        waits.clear()
        came.update(session=0, beside=0)
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            sent[number] = time.monotonic()
            await channel.send(Beat(number=number))
            await anyio.sleep(EVERY_S)
        facts = channel.link()
        group.cancel_scope.cancel()
    waits += [time.monotonic() - at for at in sent.values() if at < until - 4]
    return {
        "waits": waits,
        "goodput": facts.goodput,
        "resumed": facts.resumed,
        "down_session": came["session"] / seconds,
        "down_beside": came["beside"] / seconds,
    }


def main() -> None:
    """Be one end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("end", choices=["near", "far"])
    parser.add_argument("card")
    parser.add_argument("--up", action="store_true")
    parser.add_argument("--down", action="store_true")
    parser.add_argument("--bulk", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    tempfile.tempdir = "/tmp"
    if given.end == "far":
        anyio.run(far, given.card, given.down, given.bulk)
    else:
        print(json.dumps(anyio.run(near, given.card, given.up, given.seconds, bool(given.bulk))))


if __name__ == "__main__":
    main()
