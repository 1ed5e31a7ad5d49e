"""What a node takes as its desired state, and what it still has after a crash."""

from dataclasses import replace

import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.session import Goodbye
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.snapshot import PATH, HeldSnapshot, SnapshotFile
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints, Crash

NODE = NodeId("nd_me")
FIRST = Snapshot(
    epoch=1,
    version=5,
    issued_us=Micros(1),
    node=NODE,
    pepper=b"pepper",
    keys=(),
    assignments=(),
)


class Holder:
    """A node's disk, and as many lives of its reader as a test wants."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.failpoints = ArmedFailpoints()
        self.swapped: list[Snapshot] = []

    def begin(self) -> HeldSnapshot:
        return HeldSnapshot(
            NODE,
            SnapshotFile(disk=self.disk, pack=pack, unpack=unpack),
            failpoints=self.failpoints,
            swapped=self.swapped.append,
        )


@pytest.fixture
def holder() -> Holder:
    return Holder()


def test_a_newer_snapshot_is_kept_over_a_restart(holder) -> None:
    answer = holder.begin().offer(FIRST)
    assert (answer.ok, answer.epoch, answer.version) == (True, 1, 5)
    again = holder.begin()
    assert again.number == (0, 0)
    again.load()
    assert again.number == (1, 5)
    assert holder.swapped == [FIRST, FIRST]
    assert holder.disk.private[PATH]


@pytest.mark.parametrize(("epoch", "version", "ok"), [(1, 4, False), (0, 9, False), (2, 1, True)])
def test_numbers_only_rise_and_an_epoch_outweighs_versions(holder, epoch, version, ok) -> None:
    held = holder.begin()
    held.offer(FIRST)
    assert held.offer(replace(FIRST, epoch=epoch, version=version)).ok is ok


def test_the_same_snapshot_again_is_fine_and_costs_nothing(holder) -> None:
    held = holder.begin()
    held.offer(FIRST)
    holder.disk.full = True
    assert held.offer(FIRST).ok
    assert len(holder.swapped) == 1


def test_another_nodes_snapshot_is_refused(holder) -> None:
    answer = holder.begin().offer(replace(FIRST, node=NodeId("nd_other")))
    assert not answer.ok
    assert "nd_other" in answer.reason


def test_another_nodes_file_is_not_served(holder) -> None:
    holder.begin().offer(FIRST)
    other = HeldSnapshot(
        NodeId("nd_clone"),
        SnapshotFile(disk=holder.disk, pack=pack, unpack=unpack),
        failpoints=holder.failpoints,
        swapped=holder.swapped.append,
    )
    other.load()
    assert other.number == (0, 0)


def test_a_full_disk_refuses_the_new_one_and_serves_the_old(holder) -> None:
    held = holder.begin()
    held.offer(FIRST)
    holder.disk.full = True
    answer = held.offer(replace(FIRST, version=6))
    assert not answer.ok
    assert held.number == (1, 5)


def test_dying_before_the_swap_leaves_the_new_one_on_disk(holder) -> None:
    held = holder.begin()
    held.offer(FIRST)
    holder.failpoints.arm("snapshot.renamed")
    with pytest.raises(Crash):
        held.offer(replace(FIRST, version=6))
    again = holder.begin()
    again.load()
    assert again.number == (1, 6)


@pytest.mark.parametrize("cut", [0, 3, 20, 41, -1])
def test_a_damaged_file_is_never_served(holder, cut) -> None:
    holder.begin().offer(FIRST)
    holder.disk.files[PATH] = holder.disk.files[PATH][:cut]
    again = holder.begin()
    with pytest.raises(Damaged):
        again.load()
    assert again.number == (0, 0)


def test_a_whole_file_of_something_else_is_refused(holder) -> None:
    file = SnapshotFile(
        disk=holder.disk, pack=lambda _frame: pack(Goodbye(code="x")), unpack=unpack
    )
    file.save(FIRST)
    with pytest.raises(Damaged, match="Goodbye"):
        holder.begin().load()


def test_without_a_file_there_is_nothing_to_serve(holder) -> None:
    held = holder.begin()
    held.load()
    assert held.number == (0, 0)
