"""Both ends of a link in memory, on virtual time."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from littoral.app.link.network import Admit, LinkNetwork, LinkParts
from littoral.domain.ids import NodeId
from littoral.domain.link import Peer
from littoral.domain.pipe import Pipe, PipeClosed
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Beat, Frame
from littoral.domain.units import Micros
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.chance import SeededChance
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate

ADDRESS = "wss://control.test"
FAR_OFF = Micros(4_000_000_000_000_000)


def peer(node: str = "nd_1", *, from_us: Micros = Micros(0), until_us: Micros = FAR_OFF) -> Peer:
    return Peer(node=NodeId(node), serial="1", from_us=from_us, until_us=until_us)


def network(
    carrier: MemoryCarrier,
    seed: int = 1,
    *,
    admit: Admit | None = None,
    failpoints: ArmedFailpoints | None = None,
    **more,
) -> LinkNetwork:
    parts = {
        "carrier": carrier,
        "clock": LoopClock(),
        "chance": SeededChance(seed),
        "entropy": SeededEntropy(seed),
        "failpoints": ArmedFailpoints() if failpoints is None else failpoints,
    }
    more |= {} if admit is None else {"admit": admit}
    return LinkNetwork(LinkParts(**parts, **more))


class Ends:
    """The listening ends that a test opened, and what each received."""

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.frames: list[list[Frame]] = []
        self.ended = 0

    async def serve(self, channel: Channel) -> None:
        self.channels.append(channel)
        got: list[Frame] = []
        self.frames.append(got)
        try:
            while True:
                got.append(await channel.receive())
        except ChannelClosed:
            self.ended += 1


@asynccontextmanager
async def listening(
    carrier: MemoryCarrier, handler: Callable[[Channel], Awaitable[None]], **given
) -> AsyncGenerator[LinkNetwork]:
    found = network(carrier, **given)
    async with found.listen(ADDRESS, handler):
        yield found
        await anyio.lowlevel.checkpoint()


Body = Callable[[MemoryCarrier, Ends, Channel], Awaitable[None]]


def dialled(body: Body, carrier: MemoryCarrier | None = None, **own) -> None:
    """Run a test between both ends of one session."""
    world, ends = carrier or MemoryCarrier(peer=peer()), Ends()

    async def main() -> None:
        async with (
            listening(world, ends.serve),
            network(world, 2, **own).dial(ADDRESS) as channel,
        ):
            await body(world, ends, channel)

    simulate(main)


async def reason(pipe: Pipe) -> str:
    """Why a connection ends."""
    try:
        while True:
            await pipe.receive()
    except PipeClosed as error:
        return error.reason


def numbers(ends: Ends, at: int = 0) -> list[int]:
    return [frame.number for frame in ends.frames[at] if isinstance(frame, Beat)]
