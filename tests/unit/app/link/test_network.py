"""Sessions outlive connections: nothing is lost or doubled, and nobody takes another's."""

import anyio
import anyio.lowlevel
import pytest

from links import ADDRESS, Ends, dialled, listening, network, numbers, peer
from littoral.app.link.header import Accept, Offer, opening, read_accept
from littoral.domain.errors import Damaged, TooLarge
from littoral.domain.lane import MOST_CONTROL
from littoral.domain.link import LIVELY, RESUME_S
from littoral.domain.outbox import Mark
from littoral.domain.pipe import PipeClosed
from littoral.domain.ports import ChannelClosed, Shed
from littoral.domain.session import Beat, Goodbye, Stored, Welcome
from littoral.domain.units import Micros, Seconds
from littoral.testing.carrier import MemoryCarrier
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import simulate


def test_the_listening_end_knows_who_dialled():
    async def body(_carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        assert ends.channels[0].peer == "nd_1"
        assert channel.peer is None

    dialled(body)


def test_a_lost_connection_is_taken_up_again_and_nothing_is_lost():
    async def body(carrier, ends, channel):
        for number in range(200):
            await channel.send(Beat(number=number))
            if number % 50 == 7:
                carrier.cut()
            await anyio.sleep(0.2)
        await anyio.sleep(20)
        assert numbers(ends) == list(range(200))
        assert len(carrier.dialled) > 3
        assert channel.link().resumed == len(carrier.dialled) - 1

    dialled(body)


def test_the_other_way_nothing_is_lost_either():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=0))
        await anyio.sleep(1)
        far, got = ends.channels[0], []
        for number in range(20):
            await far.send(Beat(number=number))
            carrier.cut()
            got.append((await channel.receive()).number)
        assert got == list(range(20))

    dialled(body)


def test_what_is_told_of_a_link_says_why_there_is_no_connection():
    async def body(carrier, _ends, channel):
        assert channel.link().trouble == ""
        carrier.down = True
        carrier.cut()
        await anyio.sleep(10)
        assert "nobody listens" in channel.link().trouble
        assert channel.link().silent_s == pytest.approx(10, abs=1)
        carrier.down = False
        await anyio.sleep(10)
        assert channel.link().trouble == ""

    dialled(body)


def test_a_session_that_nobody_takes_up_in_time_is_over_at_both_ends():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        carrier.down = True
        carrier.cut()
        await anyio.sleep(RESUME_S - 2)
        assert ends.ended == 0
        await anyio.sleep(4)
        assert ends.ended == 1
        with pytest.raises(ChannelClosed):
            await channel.receive()
        with pytest.raises(ChannelClosed):
            await channel.send(Beat(number=2))

    dialled(body)


def test_a_listener_that_started_anew_does_not_know_the_session():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def first():
                with scope:
                    async with listening(carrier, ends.serve):
                        await anyio.sleep_forever()

            group.start_soon(first)
            await anyio.lowlevel.checkpoint()
            async with network(carrier, 2).dial(ADDRESS) as channel:
                carrier.cut()
                carrier.weather.silent = True  # killed: nobody says goodbye
                scope.cancel()
                await anyio.lowlevel.checkpoint()
                carrier.weather.silent = False
                async with listening(carrier, ends.serve, seed=3):
                    with pytest.raises(ChannelClosed, match="does not have this session"):
                        await channel.receive()

    simulate(main)


def test_a_link_on_which_nothing_is_heard_is_given_up_and_taken_up_when_it_speaks_again():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        carrier.weather.silent = True
        await channel.send(Beat(number=2))
        await anyio.sleep(LIVELY.lost_s - 3)
        assert channel.link().trouble == ""
        await anyio.sleep(4)
        assert channel.link().trouble
        carrier.weather.silent = False
        await anyio.sleep(20)
        assert numbers(ends) == [1, 2]

    dialled(body)


def test_a_welcome_says_how_long_silence_may_last():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        welcome = Welcome(
            protocol=1,
            server_us=Micros(0),
            beat_s=Seconds(30.0),
            suspect_s=Seconds(75.0),
            lost_s=Seconds(120.0),
        )
        await ends.channels[0].send(welcome)
        assert await channel.receive() == welcome
        carrier.weather.silent = True
        await anyio.sleep(110)
        assert channel.link().trouble == ""

    dialled(body)


def test_another_node_does_not_get_a_session_by_naming_it():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with (
            listening(carrier, ends.serve),
            network(carrier, 2).dial(ADDRESS) as channel,
        ):
            await channel.send(Beat(number=1))
            await anyio.sleep(1)
            session = ends.channels[0]
            carrier.peer = peer("nd_2")
            for known in (b"", b"x" * 16, SeededEntropy(1).bytes(16)):
                async with carrier.dial(ADDRESS) as pipe:
                    await pipe.send(opening(Offer(session=known)))
                    answer = read_accept(await pipe.receive())
                    assert not answer.resumed
                    assert answer.session != known
            assert session.link().trouble == ""

    simulate(main)


def test_the_same_node_gets_its_session_by_naming_it():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with listening(carrier, ends.serve):
            async with carrier.dial(ADDRESS) as pipe:
                await pipe.send(opening(Offer()))
                first = read_accept(await pipe.receive())
                pipe.cut()
            async with carrier.dial(ADDRESS) as pipe:
                await pipe.send(opening(Offer(session=first.session)))
                second = read_accept(await pipe.receive())
                assert second == Accept(
                    session=first.session, resumed=True, seen=(0, 0, 0), resume_s=RESUME_S
                )

    simulate(main)


def test_a_node_that_opens_session_after_session_keeps_the_last_few():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with listening(carrier, ends.serve):
            for _ in range(10):
                async with carrier.dial(ADDRESS) as pipe:
                    await pipe.send(opening(Offer()))
                    await pipe.receive()
                    pipe.cut()
            await anyio.sleep(2)
            assert len(ends.channels) == 10
            assert ends.ended == 7

    simulate(main)


def test_who_is_not_admitted_is_told_why():
    carrier, ends = MemoryCarrier(peer=peer()), Ends()

    async def main():
        async with listening(carrier, ends.serve, admit=lambda _peer: "revoked"):
            with pytest.raises(ChannelClosed):
                async with network(carrier, 2).dial(ADDRESS):
                    pass
            assert ends.channels == []

    simulate(main)


BEGIN = 1_800_000_000_000_000


@pytest.mark.parametrize(
    "off", [{"until_us": Micros(BEGIN - 1)}, {"from_us": Micros(BEGIN + 1_000_000)}]
)
def test_whose_certificate_does_not_hold_is_told_so(off):
    carrier, ends = MemoryCarrier(peer=peer(**off)), Ends()

    async def main():
        async with listening(carrier, ends.serve):
            with pytest.raises(PipeClosed) as caught:
                async with network(carrier, 2).dial(ADDRESS):
                    pass
            assert (caught.value.reason, ends.channels) == ("certificate", [])

    simulate(main)


def test_a_connection_lasts_no_longer_than_the_certificate_and_the_session_goes_on():
    begin = Micros(1_800_000_000_000_000)
    carrier = MemoryCarrier(peer=peer(until_us=Micros(begin + 100_000_000)))

    async def body(_carrier, ends, channel):
        for number in range(120):
            await channel.send(Beat(number=number))
            if number == 90:
                carrier.peer = peer()  # renewed meanwhile
            await anyio.sleep(1)
        await anyio.sleep(5)
        assert numbers(ends) == list(range(120))
        assert len(carrier.dialled) == 2

    dialled(body, carrier)


def test_a_node_ends_its_connection_itself_when_its_certificate_ends():
    begin = 1_800_000_000_000_000
    carrier = MemoryCarrier(peer=None)  # a listener that does not look at dates
    ends_us = [Micros(begin + 100_000_000)]

    async def body(_carrier, ends, channel):
        for number in range(150):
            await channel.send(Beat(number=number))
            if number == 90:
                assert len(carrier.dialled) == 1
                ends_us[0] = Micros(begin + 900_000_000)  # renewed: the next connection shows that
            await anyio.sleep(1)
        assert len(carrier.dialled) == 2
        assert numbers(ends) == list(range(150))

    dialled(body, carrier, holds=lambda: ends_us[0])


@pytest.mark.parametrize("code", ["superseded", "revoked", "drained"])
def test_a_goodbye_ends_the_session_for_good(code):
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        await ends.channels[0].send(Goodbye(code=code))
        await ends.channels[0].close()
        assert await channel.receive() == Goodbye(code=code)
        with pytest.raises(ChannelClosed):
            await channel.receive()
        await anyio.sleep(10)
        assert len(carrier.dialled) == 1

    dialled(body)


def test_a_listener_that_is_full_says_so():
    carrier = MemoryCarrier(peer=peer())

    async def main():
        carrier.full = True
        async with listening(carrier, Ends().serve):
            with pytest.raises(Shed):
                async with network(carrier, 2).dial(ADDRESS):
                    pass

    simulate(main)


def test_a_session_that_is_turned_away_waits_for_its_turn():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        carrier.full = True
        carrier.cut()
        await anyio.sleep(20)
        assert "full" in channel.link().trouble
        carrier.full = False
        await channel.send(Beat(number=2))
        await anyio.sleep(10)
        assert numbers(ends) == [1, 2]

    dialled(body)


def test_what_is_too_large_for_the_control_lane_is_refused():
    async def body(_carrier, _ends, channel):
        with pytest.raises(TooLarge, match="control lane"):
            await channel.send(Goodbye(code="x" * (MOST_CONTROL + 1)))

    dialled(body)


def test_the_way_is_measured_by_the_clock_of_one_end():
    async def body(carrier, _ends, channel):
        carrier.weather.delay_s = 0.15
        for number in range(20):
            await channel.send(Beat(number=number))
            await anyio.sleep(1)
        facts = channel.link()
        assert facts.least_s == pytest.approx(0.3, abs=0.01)
        assert facts.p90_s == pytest.approx(0.3, abs=0.01)

    dialled(body)


def test_a_certificate_whose_dates_were_left_for_later_must_hold_at_controls_time():
    async def body(carrier, ends, channel):
        await channel.send(Beat(number=1))
        await anyio.sleep(1)
        carrier.dialled[0].unchecked_us = (Micros(5), Micros(9))
        for told in (7, 10):
            await ends.channels[0].send(
                Welcome(protocol=1, server_us=Micros(told), beat_s=Seconds(5.0))
            )
        assert isinstance(await channel.receive(), Welcome)
        with pytest.raises(ChannelClosed, match="does not hold"):
            await channel.receive()

    dialled(body)


def test_control_overtakes_what_waits_on_a_slow_reader():
    async def body(_carrier, ends, channel):
        await channel.send(Stored(outbox="o", lane="event", mark=Mark()))
        await anyio.sleep(1)
        assert ends.frames[0] == [Stored(outbox="o", lane="event", mark=Mark())]

    dialled(body)


def test_a_failure_where_a_session_goes_on_costs_one_more_connection_and_nothing_else():
    carrier, ends, failpoints = MemoryCarrier(peer=peer()), Ends(), ArmedFailpoints()
    failpoints.arm("session.resumed", Damaged("armed"))

    async def main():
        async with (
            listening(carrier, ends.serve, failpoints=failpoints),
            network(carrier, 2).dial(ADDRESS) as channel,
        ):
            await channel.send(Beat(number=1))
            await anyio.sleep(1)
            carrier.cut()
            await channel.send(Beat(number=2))
            await anyio.sleep(20)
            assert numbers(ends) == [1, 2]
            assert failpoints.passes["session.resumed"] == 2
            assert len(carrier.dialled) == 3

    simulate(main)
