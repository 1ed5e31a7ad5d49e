"""Whose snapshots the node of control's own machine takes."""

from littoral.app.anchors import ANCHORS_FILE, read_anchors, write_anchors
from littoral.testing.disk import MemoryDisk

SIGNERS = {"b": b"\x00" * 32, "a": b"\xff" * 32}


def test_what_control_writes_its_node_reads() -> None:
    disk = MemoryDisk()
    write_anchors(disk, cluster="cl_1", signers=SIGNERS)
    found = read_anchors(disk)
    assert found is not None
    assert (found.cluster, found.site, found.signers) == ("cl_1", "default", SIGNERS)
    assert disk.private[ANCHORS_FILE]


def test_a_restart_without_a_change_writes_nothing() -> None:
    disk = MemoryDisk()
    write_anchors(disk, cluster="cl_1", signers=SIGNERS)
    disk.full = True
    write_anchors(disk, cluster="cl_1", signers=dict(reversed(SIGNERS.items())))


def test_a_file_that_is_missing_or_cut_tells_nothing() -> None:
    disk = MemoryDisk()
    assert read_anchors(disk) is None
    write_anchors(disk, cluster="cl_1", signers=SIGNERS)
    disk.files[ANCHORS_FILE] = disk.files[ANCHORS_FILE][:-9]
    assert read_anchors(disk) is None
