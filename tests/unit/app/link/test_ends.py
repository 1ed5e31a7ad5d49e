"""When a connection of a session has to end, and when it must not: by time, and by revocation."""

import anyio
import pytest

from links import ADDRESS, Ends, dialled, listening, network, numbers, peer
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Beat, Welcome
from littoral.domain.units import Micros, Seconds
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.loop import simulate


def test_a_node_whose_clock_is_a_day_ahead_goes_by_the_time_that_control_tells():
    begin, day_us = 1_800_000_000_000_000, 86_400_000_000
    carrier = MemoryCarrier(peer=None)
    until = Micros(begin - day_us + 600_000_000)  # ten minutes from now, by control's clock

    async def body(_carrier, ends, channel):
        await channel.send(Beat(number=0))
        await anyio.sleep(1)
        told = Micros(begin - day_us)
        await ends.channels[0].send(Welcome(protocol=1, server_us=told, beat_s=Seconds(5.0)))
        assert isinstance(await channel.receive(), Welcome)
        for number in range(1, 119):
            await anyio.sleep(5)
            await channel.send(Beat(number=number))
        assert len(carrier.dialled) == 1
        await anyio.sleep(20)
        assert len(carrier.dialled) > 1

    dialled(body, carrier, holds=lambda: until)


def test_who_is_revoked_while_its_connection_is_lost_does_not_go_on_with_its_session():
    carrier, ends, revoked = MemoryCarrier(peer=peer()), Ends(), [""]

    async def main():
        async with (
            listening(carrier, ends.serve, admit=lambda _peer: revoked[0]),
            network(carrier, 2).dial(ADDRESS) as channel,
        ):
            await channel.send(Beat(number=1))
            await anyio.sleep(1)
            revoked[0] = "it was revoked"
            carrier.cut()
            with pytest.raises(ChannelClosed, match="revoked"):
                await channel.receive()
        assert numbers(ends) == [1]

    simulate(main)


def test_where_control_tells_no_time_our_own_clock_decides():
    carrier = MemoryCarrier(peer=None)

    async def body(_carrier, _ends, channel):
        await channel.send(Beat(number=0))
        await anyio.sleep(9)
        assert len(carrier.dialled) == 1
        await anyio.sleep(9)
        assert len(carrier.dialled) > 1

    dialled(body, carrier, holds=lambda: Micros(1))
