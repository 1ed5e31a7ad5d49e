"""Whatever a node sends, control's end neither breaks nor grows, and others are not disturbed."""

import anyio
import anyio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st

from links import ADDRESS, Ends, listening, network, numbers, peer
from littoral.app.link.header import Offer, acks, opening, wrap
from littoral.domain.lane import LANES, Parcel
from littoral.domain.pipe import PipeClosed
from littoral.domain.session import Beat
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.loop import simulate

PARCELS = st.builds(
    lambda kind, lane, stream, seq, flags, body: wrap(
        Parcel(type=kind, lane=lane, stream=stream, seq=seq, flags=flags, body=body)
    ),
    st.integers(0, 255),
    st.integers(0, LANES - 1),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(0, 7),
    st.one_of(st.binary(max_size=64), st.just(b"\x81\xa6number\x01"), st.just(b"\x91" * 5000)),
)
ACKS = st.builds(
    lambda lane, seq, held: acks([(lane, seq, held)]),
    st.integers(0, LANES - 1),
    st.integers(0, 5),
    st.none() | st.floats(0, 1e6),
)
OFFERS = st.builds(
    lambda session, seen: opening(Offer(session=session, seen=seen)),
    st.binary(max_size=16),
    st.tuples(*[st.integers(0, 5)] * LANES),
)
MESSAGES = st.lists(PARCELS | ACKS | OFFERS | st.binary(max_size=100), max_size=30)


@settings(max_examples=150)
@given(MESSAGES)
def test_any_messages_after_any_opening_harm_nobody_else(messages):
    carrier, ends = MemoryCarrier(peer=peer("nd_good")), Ends()

    async def main() -> None:
        async with (
            listening(carrier, ends.serve),
            network(carrier, 2).dial(ADDRESS) as channel,
        ):
            await channel.send(Beat(number=1))
            await anyio.sleep(1)
            carrier.peer = peer("nd_bad")
            async with carrier.dial(ADDRESS) as pipe:
                try:
                    await pipe.send(opening(Offer()))
                    for message in messages:
                        await pipe.send(message)
                        await anyio.lowlevel.checkpoint()
                except PipeClosed:
                    pass
                await anyio.sleep(1)
            carrier.peer = peer("nd_good")
            await channel.send(Beat(number=2))
            await anyio.sleep(10)
            assert numbers(ends) == [1, 2]

    simulate(main)
