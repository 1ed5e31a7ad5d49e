"""Counter: where people on this machine ask the node for errands, with control or without."""

from contextlib import suppress
from typing import Final

import anyio

from littoral.domain.ports import Channel, ChannelClosed, Network
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do
from littoral.node.errand import Errands

ASKED_WITHIN: Final = Seconds(10.0)


async def counter(errands: Errands, network: Network, address: str) -> None:
    """Do what is asked at an address, until cancelled: one errand a channel.

    Args:
        errands: Does it.
        network: Who may ask is for it to say: on a host, the same user.
        address: Where.
    """

    async def ask(channel: Channel) -> None:
        with suppress(ChannelClosed):
            with anyio.fail_after(ASKED_WITHIN):
                frame = await channel.receive()
            if isinstance(frame, Do):
                await channel.send(await errands.do(frame))

    async def handle(channel: Channel) -> None:
        with suppress(TimeoutError):
            await ask(channel)

    async with network.listen(address, handle):
        await anyio.sleep_forever()
