"""Sessions under loss: each message lost, the connection cut at each of them, resumed or not.

Whatever happens, what arrives is what was sent, in order and once; or the session is over, and both
ends know it.
"""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from links import ADDRESS, listening, network, peer
from littoral.domain.link import RESUME_S
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Beat, Data, Goodbye, Reset
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.entropy import SeededEntropy
from littoral.testing.loop import simulate

BODY = SeededEntropy().bytes(76_800)
STREAMS = (1, 3)


class Answering:
    """The listening end: sends every stream back, and says goodbye when it was asked to."""

    def __init__(self) -> None:
        self.sessions = 0
        self.ended = 0

    async def __call__(self, channel: Channel) -> None:
        self.sessions += 1
        try:
            while True:
                frame = await channel.receive()
                await channel.send(frame)
        finally:
            self.ended += 1


async def talk(channel: Channel) -> dict[int, bytes]:
    """Send a body on each stream, with beats between; what came back of each."""
    back: dict[int, bytes] = dict.fromkeys((0, *STREAMS), b"")
    pieces = [BODY[at : at + 20_000] for at in range(0, len(BODY), 20_000)]

    async def send() -> None:
        for number, piece in enumerate(pieces):
            await channel.send(Beat(number=number))
            for stream in STREAMS:
                fin = number == len(pieces) - 1
                await channel.send(Data(stream=stream, body=piece, fin=fin))
            await anyio.sleep(0.1)

    open_streams, beats = set(STREAMS), 0
    async with anyio.create_task_group() as group:
        group.start_soon(send)
        while open_streams or beats < len(pieces):
            frame = await channel.receive()
            if isinstance(frame, Beat):
                assert frame.number == beats
                beats += 1
            elif isinstance(frame, Data):
                back[frame.stream] += frame.body
                if frame.fin:
                    open_streams.discard(frame.stream)
    return back


def run(cuts: frozenset[int], *, delay_s: float = 0.02, seed: int = 1) -> MemoryCarrier:
    """One conversation whose connection is cut at these messages."""
    carrier, answering = MemoryCarrier(peer=peer()), Answering()
    carrier.weather.cuts = cuts
    carrier.weather.delay_s = delay_s

    async def main() -> None:
        async with listening(carrier, answering, seed=seed):
            back: dict[int, bytes] = {}
            while not back:  # where the first message is lost there is no session yet
                try:
                    async with network(carrier, seed + 1).dial(ADDRESS) as channel:
                        back = await talk(channel)
                except* ChannelClosed:
                    assert len(carrier.dialled) < 30
            assert back[1] == back[3] == BODY
            await anyio.sleep(2 * RESUME_S)
            assert answering.ended == answering.sessions

    simulate(main)
    return carrier


def messages() -> int:
    """How many messages an undisturbed conversation has."""
    carrier = run(frozenset())
    return carrier.weather.number + 1


@pytest.mark.parametrize("share", range(8))
def test_a_cut_at_any_message_loses_nothing(share):
    for at in range(share, messages(), 8):
        run(frozenset({at}))


@settings(max_examples=60)
@given(cuts=st.frozensets(st.integers(0, 200), max_size=12), seed=st.integers(0, 1000))
def test_many_cuts_lose_nothing(cuts, seed):
    run(cuts, seed=seed)


async def cut_off(carrier: MemoryCarrier) -> None:
    """Talk, with nobody to dial once the connection is lost."""
    async with network(carrier, 2).dial(ADDRESS) as channel:
        carrier.down = True
        await talk(channel)


@settings(max_examples=30)
@given(at=st.integers(2, 60))
def test_a_session_that_cannot_be_resumed_is_over_at_both_ends(at):
    carrier, answering = MemoryCarrier(peer=peer()), Answering()
    carrier.weather.cuts = frozenset({at})

    async def main() -> None:
        async with listening(carrier, answering):
            with pytest.raises((ChannelClosed, ExceptionGroup)):
                await cut_off(carrier)
            await anyio.sleep(2 * RESUME_S)
            assert answering.ended == answering.sessions == 1

    simulate(main)


def test_the_same_seed_gives_the_same_conversation():
    cuts = frozenset({5, 40, 41, 90})
    assert run(cuts, seed=7).weather.number == run(cuts, seed=7).weather.number


def test_a_reset_never_overtakes_what_it_ends():
    carrier = MemoryCarrier(peer=peer())
    got = []

    async def collect(channel: Channel) -> None:
        while True:
            got.append(await channel.receive())

    async def main() -> None:
        async with listening(carrier, collect), network(carrier, 2).dial(ADDRESS) as channel:
            for stream in (1, 3):
                await channel.send(Data(stream=stream, body=BODY))
                await channel.send(Reset(stream=stream, code="cancelled"))
            await channel.send(Goodbye(code="bye"))
            await anyio.sleep(10)

    simulate(main)
    assert isinstance(got[0], Goodbye)
    for stream in (1, 3):
        assert [type(each) for each in got[1:] if each.stream == stream] == [Data, Reset]
