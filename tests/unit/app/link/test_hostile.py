"""Messages that nobody of good will sends, and words of a build to come."""

import anyio
import pytest

from links import ADDRESS, Ends, dialled, listening, numbers, peer, reason
from littoral.app.link.header import Offer, acks, opening, read_accept, wrap
from littoral.domain.lane import Parcel
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Beat
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.loop import simulate


def test_a_type_that_this_build_does_not_know_is_passed_over_and_counted():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        async with carrier.dial(ADDRESS) as pipe:
            await pipe.send(opening(Offer()))
            await pipe.receive()
            for kind, lane, seq in ((63, 1, 1), (63, 1, 0), (60, 0, 0)):
                await pipe.send(
                    wrap(Parcel(type=kind, lane=lane, stream=0, seq=seq, flags=0, body=b"?"))
                )
            await anyio.sleep(1)
            assert ends.channels[1].link().strange == 3
            assert ends.ended == 0

    dialled(body)


BAD = {
    "no parcel": b"\xc1",
    "an empty message": b"",
    "a list of wrong types": b"\x96\xa1a\x00\x00\x01\x00\xc4\x00",
    "a lane that is none": wrap(Parcel(type=2, lane=3, stream=0, seq=1, flags=0, body=b"")),
    "a number out of turn": wrap(Parcel(type=2, lane=0, stream=0, seq=9, flags=0, body=b"")),
    "an acknowledgement of what was never sent": acks([(0, 5, None)]),
    "an acknowledgement that is none": wrap(
        Parcel(type=3, lane=0, stream=0, seq=0, flags=0, body=b"\xc1")
    ),
    "a body that is no frame": wrap(Parcel(type=2, lane=0, stream=0, seq=1, flags=0, body=b"\x01")),
    "a body that says it is compressed": wrap(
        Parcel(type=2, lane=0, stream=0, seq=1, flags=4, body=b"x")
    ),
    "a depth without end": wrap(
        Parcel(type=2, lane=0, stream=0, seq=1, flags=0, body=b"\x91" * 60_000)
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_hostile_message_ends_its_session_and_no_other(name):
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        async with carrier.dial(ADDRESS) as pipe:
            await pipe.send(opening(Offer()))
            await pipe.receive()
            await pipe.send(BAD[name])
            assert await reason(pipe) == "protocol"
        await anyio.sleep(1)
        assert ends.ended == 1
        await channel.send(Beat(number=2))
        await anyio.sleep(1)
        assert numbers(ends) == [1, 2]

    dialled(body)


def test_a_connection_that_does_not_begin_with_an_offer_is_closed():
    async def body(carrier, ends, _channel):
        for first in (b"\xc1", wrap(Parcel(type=2, lane=0, stream=0, seq=1, flags=0, body=b""))):
            async with carrier.dial(ADDRESS) as pipe:
                await pipe.send(first)
                with pytest.raises(ChannelClosed):
                    await pipe.receive()
        assert len(ends.channels) == 1

    dialled(body)


def test_a_connection_that_says_nothing_is_closed_in_time():
    async def body(carrier, _ends, _channel):
        async with carrier.dial(ADDRESS) as pipe:
            with pytest.raises(ChannelClosed):
                await pipe.receive()
            assert anyio.current_time() < 12

    dialled(body)


def test_what_was_seen_and_never_sent_ends_the_session():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with listening(carrier, ends.serve):
            async with carrier.dial(ADDRESS) as pipe:
                await pipe.send(opening(Offer()))
                first = read_accept(await pipe.receive())
                pipe.cut()
            async with carrier.dial(ADDRESS) as pipe:
                await pipe.send(opening(Offer(session=first.session, seen=(7, 0, 0))))
                await pipe.receive()
                assert await reason(pipe) == "protocol"
            await anyio.sleep(1)
            assert ends.ended == 1

    simulate(main)
