"""One end of a session over a bad link: the far one answers, the near one loads it and measures.

Started by ``run.py`` inside a network namespace.
"""

import argparse
import os
import time

import anyio
from ends import PORT, be, network, read_card, words_of_an_end

from littoral.domain.ports import Channel
from littoral.domain.session import Beat, Data

ADDRESS = f"wss://10.231.9.1:{PORT}"
BULK_PORT = 8446
PIECE = 16 * 1024
FAR = "10.231.9.1"
SEGMENT = 1400
EVERY_S = 0.25
WARM_S = 3.0
LATE_S = 4.0
"""Answers that are not here so long after the end count as that late."""


async def pour(channel: Channel, stream: int) -> None:
    """Send as much as the lane takes."""
    while True:
        await channel.send(Data(stream=stream, body=os.urandom(PIECE)))


async def far(given: argparse.Namespace) -> None:
    """Answer each beat; pour data down where asked, and bytes beside the session."""

    async def serve(channel: Channel) -> None:
        async with anyio.create_task_group() as group:
            if given.down:
                group.start_soon(pour, channel, 2)
            while True:
                frame = await channel.receive()
                if isinstance(frame, Beat):
                    await channel.send(frame)

    async def download(stream: anyio.abc.SocketStream) -> None:
        """An artefact that comes over a connection of its own, held to a rate."""
        began, sent = time.monotonic(), 0
        while True:
            await stream.send(os.urandom(SEGMENT))
            sent += SEGMENT
            await anyio.sleep(max(0.0, began + sent / given.bulk - time.monotonic()))

    async with network(read_card(given.card)).listen(ADDRESS, serve):
        if not given.bulk:
            await anyio.sleep_forever()
        listener = await anyio.create_tcp_listener(local_host=FAR, local_port=BULK_PORT)
        await listener.serve(download)


class Near:
    """The end that beats, loads and measures."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.sent: dict[int, float] = {}
        self.waits: list[float] = []
        self.session = self.beside = 0

    async def hear(self) -> None:
        """Take answers and data."""
        while True:
            frame = await self.channel.receive()
            if isinstance(frame, Beat):
                self.waits.append(time.monotonic() - self.sent.pop(frame.number))
            elif isinstance(frame, Data):
                self.session += len(frame.body)

    async def fetch(self) -> None:
        """Download beside the session."""
        stream = await anyio.connect_tcp(FAR, BULK_PORT)
        while True:
            self.beside += len(await stream.receive())

    async def measure(self, seconds: float) -> None:
        """Beat for some time, once the link is as busy as it gets."""
        await anyio.sleep(WARM_S)
        self.session = self.beside = 0
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            self.sent[number] = time.monotonic()
            await self.channel.send(Beat(number=number))
            await anyio.sleep(EVERY_S)
        self.waits += [time.monotonic() - at for at in self.sent.values() if at < until - LATE_S]


async def near(given: argparse.Namespace) -> dict[str, object]:
    """Beat and load for some time; how long answers took, and what else went through."""
    async with (
        network(read_card(given.card)).dial(ADDRESS) as channel,
        anyio.create_task_group() as group,
    ):
        this = Near(channel)
        group.start_soon(this.hear)
        if given.up:
            group.start_soon(pour, channel, 1)
        if given.bulk:
            group.start_soon(this.fetch)
        await this.measure(given.seconds)
        facts = channel.link()
        group.cancel_scope.cancel()
    return {
        "waits": this.waits,
        "goodput": facts.goodput,
        "resumed": facts.resumed,
        "down_session": this.session / given.seconds,
        "down_beside": this.beside / given.seconds,
    }


def main() -> None:
    """Be one end."""
    parser = words_of_an_end()
    parser.add_argument("--up", action="store_true")
    parser.add_argument("--down", action="store_true")
    parser.add_argument("--bulk", type=float, default=0.0)
    be(parser, far=far, near=near)


if __name__ == "__main__":
    main()
