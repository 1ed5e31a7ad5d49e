"""Nodes that control loses are missed once, and welcomed with how long they were away."""

from dataclasses import replace

import pytest

from littoral.control.absence import GRACE, NAMED, Absences
from littoral.control.fleet import DISCONNECTED_S, Fleet, row_of
from littoral.domain.ids import NodeId
from littoral.domain.node import Node
from littoral.domain.units import Micros
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState


class Hall:
    def __init__(self) -> None:
        self.clock, self.state, self.sink = SettableClock(), MemoryState(), ListSink()
        self.fleet = Fleet(self.state, clock=self.clock)

    def row(self, name: str) -> Node:
        node = Node(
            id=NodeId(name), name=name, state="joined", seen_us=self.clock.wall(), build="1"
        )
        self.state.put_values(row_of(node))
        return node

    def start(self) -> Absences:
        self.fleet = Fleet(self.state, clock=self.clock)
        return Absences(self.fleet, clock=self.clock, sink=self.sink)

    def said(self) -> list[tuple[str, str]]:
        found = [(event.code, event.message) for event in self.sink.events]
        self.sink.events.clear()
        return found


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_a_node_that_goes_is_missed_once_and_welcomed_with_how_long_it_was_away(hall) -> None:
    absences = hall.start()
    hall.clock.advance(GRACE)
    hall.fleet.joined(hall.row("pier"))
    absences.look()
    assert hall.said() == []
    hall.clock.advance(DISCONNECTED_S)
    absences.look()
    absences.look()
    assert hall.said() == [("node.disconnected", "pier cannot be reached")]
    hall.clock.advance(100)
    hall.fleet.beat(NodeId("pier"), None)
    hall.fleet.joined(hall.row("pier"))
    absences.look()
    assert hall.said() == [("node.connected", "pier is connected again after 120 s")]


def test_after_its_own_start_control_waits_before_it_misses_those_it_knew(hall) -> None:
    for number in range(NAMED + 2):
        hall.row(f"n{number}")
    old = replace(hall.row("old"), seen_us=Micros(1))
    hall.state.put_values(row_of(old))
    absences = hall.start()
    absences.look()
    assert hall.said() == []
    hall.clock.advance(GRACE)
    absences.look()
    (said,) = hall.said()
    assert said == (
        "node.disconnected",
        "n0, n1, n2, n3, n4 and 2 more nodes cannot be reached",
    )
