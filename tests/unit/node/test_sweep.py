"""Blobs that nothing refers to go after a day, and no other ones."""

import anyio
import pytest

from littoral.domain.errors import StorageFull
from littoral.node.board import Board
from littoral.node.sweep import EVERY, GRACE_US, KEPT, Sweep, SweepParts
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import simulate
from littoral.testing.parts import MemoryParts
from littoral.testing.sink import ListSink

DAY_S = GRACE_US / 1e6


class Node:
    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.parts = MemoryParts(self.blobs, failpoints=ArmedFailpoints())
        self.disk = MemoryDisk()
        self.clock = SettableClock()
        self.sink = ListSink()
        self.board = Board(clock=self.clock, sink=self.sink, report=lambda _pids: None)
        self.wanted: frozenset[str] | None = frozenset()
        self.under_way: frozenset[str] = frozenset()

    def blob(self, data: bytes) -> str:
        writer = self.blobs.writer()
        writer.write(data)
        return writer.commit()

    def process(self) -> Sweep:
        return Sweep(
            SweepParts(
                parts=self.parts,
                disk=self.disk,
                clock=self.clock,
                board=self.board,
                wanted=lambda: self.wanted,
                under_way=lambda: self.under_way,
            )
        )


@pytest.fixture
def node() -> Node:
    return Node()


def look(sweep: Sweep):
    return simulate(sweep.look)


def test_what_was_unused_for_a_day_is_removed_and_told(node):
    used, unused = node.blob(b"used"), node.blob(b"unused")
    node.wanted = frozenset({used})
    sweep = node.process()
    assert look(sweep) == ()
    assert (node.board.store.blobs, node.board.store.unused) == (2, 6)
    node.clock.advance(DAY_S)
    assert look(sweep) == (unused,)
    assert node.blobs.list() == [used]
    assert (node.board.store.blobs, node.board.store.size, node.board.store.unused) == (1, 4, 0)
    assert node.sink.events[-1].code == "blobs_removed"
    assert "6 bytes" in node.sink.events[-1].message


def test_what_is_used_again_begins_anew(node):
    blob = node.blob(b"sometimes")
    sweep = node.process()
    look(sweep)
    node.clock.advance(DAY_S / 2)
    node.wanted = frozenset({blob})
    look(sweep)
    node.wanted = frozenset()
    node.clock.advance(DAY_S)
    assert look(sweep) == ()
    node.clock.advance(DAY_S)
    assert look(sweep) == (blob,)


def test_a_restart_does_not_begin_the_day_anew(node):
    blob = node.blob(b"unused")
    look(node.process())
    node.clock.advance(DAY_S)
    assert look(node.process()) == (blob,)


def test_what_is_being_fetched_is_left_alone(node):
    blob = node.blob(b"coming")
    node.under_way = frozenset({blob})
    sweep = node.process()
    look(sweep)
    node.clock.advance(2 * DAY_S)
    assert look(sweep) == ()


def test_what_begins_to_be_fetched_during_a_look_is_neither_removed_nor_told_as_gone(node):
    class Late(MemoryParts):
        async def discard(self, digest):
            await super().discard(digest)
            node.under_way = frozenset(node.blobs.list())

    blobs = {node.blob(b"one"), node.blob(b"other")}
    node.parts = Late(node.blobs, failpoints=ArmedFailpoints())
    sweep = node.process()
    look(sweep)
    node.clock.advance(DAY_S)
    (gone,) = look(sweep)
    assert set(node.blobs.list()) == blobs - {gone}
    assert "1 unused blobs" in node.sink.events[-1].message
    assert node.board.store.blobs == 1


def test_nothing_is_removed_while_it_is_not_known_what_is_wanted(node):
    node.blob(b"who knows")
    node.wanted = None
    sweep = node.process()
    look(sweep)
    node.clock.advance(9 * DAY_S)
    assert look(sweep) == ()
    assert node.board.store is None


def test_it_looks_again_and_a_full_disk_stops_nothing(node):
    node.blob(b"unused")
    node.disk.write(KEPT, b"[")
    tries = []

    class Full(MemoryDisk):
        def write(self, path: str, _data: bytes, **_how: bool) -> None:
            tries.append(path)
            raise StorageFull(path)

    node.disk = Full()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(node.process().run)
            await anyio.sleep(1.5 * EVERY)
            assert tries
            node.clock.advance(DAY_S)
            await anyio.sleep(EVERY)
            group.cancel_scope.cancel()

    simulate(main)
    assert node.blobs.list() == []
    assert node.sink.codes() == ["blobs_removed"]
    assert node.board.store.blobs == 0
