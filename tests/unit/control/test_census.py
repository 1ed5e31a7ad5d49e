"""Which nodes snapshots name, and when."""

from dataclasses import replace

import anyio
import pytest

from littoral.control.census import EACH_S, Census
from littoral.control.fleet import Fleet
from littoral.control.worker import Bell
from littoral.domain.ids import NodeId
from littoral.domain.node import Node
from littoral.domain.units import Micros
from littoral.testing.clock import SettableClock
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.state import MemoryState


def row(name: str, site: str) -> Node:
    zero = Micros(0)
    return Node(id=NodeId(name), name=name, state="joined", site=site, seen_us=zero, build="1")


class Land:
    """A fleet, its census, and how often it rang."""

    def __init__(self, clock: SettableClock | LoopClock) -> None:
        self.clock, self.bell = clock, Bell()
        self.fleet = Fleet(MemoryState(), clock=self.clock)
        self.census = Census(self.fleet, self.clock)

    def join(self, *names: str, site: str = "mill") -> None:
        for name in names:
            self.fleet.learn(row(name, site))

    def named(self, node: str) -> str:
        return "".join(self.census.named_to(NodeId(node)))


@pytest.fixture
def land() -> Land:
    return Land(SettableClock())


def test_the_first_that_join_are_named_at_once(land):
    land.join("a", "b")
    assert land.named("a") == "ab"


def test_who_joins_soon_after_waits_the_longer_the_more_there_are(land):
    land.join("a", "b")
    land.named("a")
    land.join("c", "d")
    land.clock.advance(4 * EACH_S - 0.001)
    assert land.named("a") == "ab"
    land.clock.advance(0.002)
    assert land.named("a") == "abcd"


def test_a_node_is_always_named_to_itself(land):
    land.join("b", "c")
    land.named("b")
    land.join("a")
    assert land.named("a") == "abc"
    assert land.named("b") == "bc"


def test_who_is_no_node_is_not_named_to_itself(land):
    land.join("a")
    assert land.named("x") == "a"


@pytest.mark.parametrize("change", [{"mark": "revoked"}, {"site": "dam"}, None])
def test_who_goes_or_moves_is_not_waited_for(land, change):
    land.join("a", "b")
    land.named("a")
    land.join("c")
    node = land.fleet.kept(NodeId("b"))
    if change is None:
        land.fleet.forget(node.id)
    else:
        land.fleet.learn(replace(node, **change))
    found = land.census.named_to(NodeId("a"))
    assert found == land.fleet.spots()
    assert "c" in found


def test_it_rings_once_for_all_that_joined_together():
    land = Land(LoopClock())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(land.census.run, land.bell)
            await anyio.wait_all_tasks_blocked()
            assert land.bell.count == 0
            land.join("a")
            await land.bell.wait(0)
            land.join("b")
            await anyio.sleep(EACH_S / 2)
            land.join("c")
            await land.bell.wait(1)
            assert land.named("a") == "abc"
            assert land.clock.now() == pytest.approx(3 * EACH_S)
            group.cancel_scope.cancel()

    simulate(main)


def test_it_rings_where_a_snapshot_named_them_first(land):
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(land.census.run, land.bell)
            await anyio.wait_all_tasks_blocked()
            land.join("a")
            assert land.named("a") == "a"
            await land.bell.wait(0)
            group.cancel_scope.cancel()

    simulate(main)
