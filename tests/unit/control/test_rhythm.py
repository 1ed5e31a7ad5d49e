"""Signs of life: who is doubted, when it is trusted again, and how seldom a metered link speaks."""

import pytest

from littoral.control.fleet import Fleet
from littoral.domain.ids import NodeId
from littoral.domain.link import LIVELY, METERED
from littoral.domain.node import Node
from littoral.domain.resource import Metadata, Resource
from littoral.domain.session import Hello
from littoral.domain.site import SiteSpec
from littoral.domain.units import Micros, Seconds
from littoral.testing.clock import SettableClock
from littoral.testing.state import MemoryState

HELLO = Hello(
    protocol=1,
    node=NodeId("nd_1"),
    name="here",
    boot="b",
    build="0",
    outbox="o",
    snapshot=(0, 0),
)


@pytest.fixture
def clock():
    return SettableClock()


@pytest.fixture
def state():
    return MemoryState()


@pytest.fixture
def fleet(state, clock):
    return Fleet(state, clock=clock)


def present(fleet: Fleet) -> str:
    return fleet.node("nd_1").state


def test_a_node_that_was_doubted_is_trusted_after_two_good_beats(fleet, clock):
    fleet.joined(fleet.row(HELLO))
    clock.advance(LIVELY.suspect_s)
    assert present(fleet) == "suspect"
    fleet.beat(HELLO.node, None)
    assert present(fleet) == "suspect"
    clock.advance(Seconds(1.0))
    fleet.beat(HELLO.node, None)
    assert present(fleet) == "suspect"
    clock.advance(LIVELY.beat_s)
    fleet.beat(HELLO.node, None)
    assert present(fleet) == "joined"


def test_a_node_that_came_back_with_a_new_session_is_not_doubted(fleet, clock):
    fleet.joined(fleet.row(HELLO))
    clock.advance(LIVELY.lost_s)
    assert present(fleet) == "disconnected"
    fleet.joined(fleet.row(HELLO))
    assert present(fleet) == "joined"


def test_on_a_metered_link_silence_is_longer(fleet, state, clock):
    state.put(Resource(kind="Site", metadata=Metadata(name="default"), spec=SiteSpec(metered=True)))
    node: Node = fleet.row(HELLO)
    assert fleet.rhythm(node) == METERED
    fleet.joined(node, fleet.rhythm(node))
    clock.advance(LIVELY.lost_s)
    assert present(fleet) == "joined"
    clock.advance(Seconds(METERED.suspect_s - LIVELY.lost_s))
    assert present(fleet) == "suspect"
    clock.advance(Seconds(METERED.lost_s - METERED.suspect_s))
    assert present(fleet) == "disconnected"
    assert fleet.node("nd_1").seen_us >= Micros(0)


def test_without_a_site_a_link_is_lively(fleet):
    assert fleet.rhythm(fleet.row(HELLO)) == LIVELY
