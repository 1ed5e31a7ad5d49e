"""How well control reaches a node: measured over all its sessions."""

from dataclasses import replace

import anyio

from littoral.control.link import Link, Links
from littoral.domain.ids import NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.units import Seconds
from littoral.testing.channel import channel_pair
from littoral.testing.clock import SettableClock
from littoral.testing.loop import simulate

NODE = NodeId("nd_1")


def test_a_nodes_link_is_what_its_channel_says_and_the_share_of_time_it_had_one():
    async def main():
        clock = SettableClock()
        links = Links(clock)
        channel, far = channel_pair()
        assert links.measured(NODE) is None
        first = Link(NODE, channel, anyio.CancelScope(), boot="a")
        links.opened(first)
        assert links.measured(NODE).availability == 1.0
        clock.advance(60)
        links.ended(first)
        assert links.measured(NODE) is None
        clock.advance(20)
        second = Link(NODE, channel, anyio.CancelScope(), boot="b")
        links.opened(second)
        clock.advance(20)
        zero = Seconds(0.0)
        facts = LinkFacts(silent_s=zero, rtt_s=zero, least_s=zero, p90_s=zero, goodput=0.0)
        channel.facts = replace(facts, rtt_s=Seconds(0.30004), goodput=31_234.0)
        found = links.measured(NODE)
        assert (found.rtt_s, found.goodput, found.availability) == (0.3, 31_000.0, 0.8)
        third = Link(NODE, channel, anyio.CancelScope(), boot="b")
        links.opened(third)
        clock.advance(100)
        assert links.measured(NODE).availability == 0.9
        await channel.close()
        await far.close()

    simulate(main)
