"""What served before a deployment's present version stays at hand, without control."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Channel
from littoral.domain.upkeep import Do, Done
from littoral.node.board import Board
from littoral.node.converge import Converger
from littoral.node.counter import counter
from littoral.node.errand import ErrandParts, Errands
from littoral.node.previous import KEEP_US, KEPT, Previous
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import Crash
from littoral.testing.network import MemoryNetwork


@pytest.fixture
def versions(assign):
    """Two versions of a deployment, with artefacts of their own."""
    old = assign(size=10)
    return old, replace(old, revision=2, model="new", artefact=assign(size=20).artefact)


@pytest.fixture
def world(around, versions):
    around.blobs = {each.artefact.digest: "/x" for each in versions}
    return around


def live(around) -> list[str]:
    return [each.spec.assignment.model for each in around.driver.live]


def codes(around) -> list[str]:
    return [event.code for event in around.sink.events]


async def switched(converger: Converger, versions) -> None:
    for each in versions:
        converger.want([each])
        await anyio.sleep(5)


def test_an_undone_version_is_left_for_the_one_before_it_without_a_gap(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, versions)
        assert live(world) == ["new"]
        converger.undo("chat", why="it is worse")
        await anyio.sleep(0.5)
        assert live(world) == ["new"]  # the old one loads, the new one serves on
        await anyio.sleep(1)
        assert live(world) == ["chat"]
        assert "slot_undone" in codes(world)

    world.converging(script)
    assert world.failpoints.passes["slot.switched"] == 2


def test_what_was_left_stays_left_until_control_wants_another_revision(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, versions)
        converger.undo("chat", why="it is worse")
        await anyio.sleep(5)
        await switched(converger, [versions[1]])
        assert live(world) == ["chat"]
        await switched(converger, [replace(versions[1], revision=3)])
        assert live(world) == ["new"]

    world.converging(script)


def test_undoing_twice_is_going_forward_again(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, versions)
        for expected in ("chat", "new"):
            converger.undo("chat", why="asked")
            await anyio.sleep(5)
            assert live(world) == [expected]

    world.converging(script)


def test_a_restart_forgets_nothing(world, versions):
    async def before(converger: Converger) -> None:
        await switched(converger, versions)
        converger.undo("chat", why="it is worse")
        await anyio.sleep(5)

    async def after(converger: Converger) -> None:
        converger.want([versions[1]], first=True)
        converger.go_on()
        await anyio.sleep(5)
        assert live(world) == ["chat"]

    world.converging(before)
    world.converging(after)


def test_after_a_restart_what_served_last_serves_until_what_is_wanted_does(world, versions):
    async def before(converger: Converger) -> None:
        await switched(converger, [versions[0]])

    async def after(converger: Converger) -> None:
        converger.want([versions[1]], first=True)
        await anyio.sleep(2)
        assert live(world) == ["chat"]
        converger.go_on()
        await anyio.sleep(5)
        assert live(world) == ["new"]

    world.converging(before)
    world.converging(after)


def test_a_version_that_crashes_again_and_again_is_left_by_the_node_alone(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, versions)
        for _ in range(60):
            for engine in world.driver.live:
                if engine.spec.assignment.model == "new":
                    engine.crash()
            await anyio.sleep(2)
        assert live(world) == ["chat"]
        assert "slot_undone" in codes(world)

    world.converging(script)


def test_where_nothing_served_before_nothing_is_undone(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, [versions[0]])
        with pytest.raises(InvalidInput, match="no other version"):
            converger.undo("chat", why="asked")
        with pytest.raises(InvalidInput, match="known: chat"):
            converger.undo("other", why="asked")

    world.converging(script)


def test_a_change_of_the_price_is_no_other_version(world, versions):
    async def script(converger: Converger) -> None:
        await switched(converger, (versions[0], replace(versions[0], revision=2, price_in=2.0)))
        with pytest.raises(InvalidInput, match="no other version"):
            converger.undo("chat", why="asked")

    world.converging(script)


def test_both_slots_keep_their_blobs_for_a_day(world, versions):
    clock = SettableClock()
    book = slots(world, clock)
    for each in versions:
        book.served(each)
    assert book.digests() == {each.artefact.digest for each in versions}
    clock.advance(KEEP_US / 1e6)
    assert book.digests() == {versions[1].artefact.digest}


def test_a_switch_is_on_disk_before_anybody_is_told(world, versions):
    book = slots(world, SettableClock())
    book.served(versions[0])
    world.failpoints.arm("slot.switched")
    with pytest.raises(Crash):
        book.served(versions[1])
    assert world.previous().can_undo(versions[1])
    world.disk.write(KEPT, b"{")
    assert not world.previous().can_undo(versions[1])


def test_people_on_the_machine_ask_without_control(world, versions):
    network = MemoryNetwork()

    async def script(converger: Converger) -> None:
        await switched(converger, versions)
        async with anyio.create_task_group() as group:
            group.start_soon(counter, errands(converger), network, "here")
            await anyio.lowlevel.checkpoint()
            async with network.dial("here") as channel:
                assert (await asked(channel, "chat")).ok
            async with network.dial("here") as channel:
                assert "known: chat" in (await asked(channel, "other")).result
            await anyio.sleep(5)
            group.cancel_scope.cancel()
        assert live(world) == ["chat"]

    world.converging(script)


def slots(around, clock: SettableClock) -> Previous:
    """The slots on a clock that needs no loop."""
    board = Board(clock=clock, sink=around.sink, report=lambda _pids: None)
    return Previous(around.disk, clock, board=board, failpoints=around.failpoints)


async def back() -> str:
    await anyio.lowlevel.checkpoint()
    return "0.1.0"


def errands(converger: Converger) -> Errands:
    return Errands(
        ErrandParts(
            converger=converger,
            blobs=MemoryBlobs(),
            under_way=lambda: 0,
            tail=lambda role, lines: f"{role} {lines}",
            probe=lambda: 0,
            undo_update=back,
        )
    )


async def asked(channel: Channel, name: str) -> Done:
    await channel.send(Do(number=1, verb="rollback", args={"deployment": name}))
    answer = await channel.receive()
    assert isinstance(answer, Done)
    return answer
