"""One suite for Disk, on a directory and on its twin."""

from pathlib import Path

import pytest

from littoral.domain.errors import InvalidInput, StorageFull
from littoral.domain.ports import Disk
from littoral.stores.disk import LocalDisk
from littoral.testing.disk import MemoryDisk


@pytest.fixture(params=["local", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return MemoryDisk() if request.param == "memory" else LocalDisk(str(tmp_path / "data"))


def test_what_was_written_is_read(disk: Disk):
    disk.write("snapshot.bin", b"\x00\x01")
    disk.write("run/deep/status.json", b"{}", private=False)
    assert disk.read("snapshot.bin") == b"\x00\x01"
    assert disk.read("run/deep/status.json") == b"{}"


def test_a_file_is_replaced_whole(disk: Disk):
    disk.write("a", b"long content")
    disk.write("a", b"x")
    assert disk.read("a") == b"x"


def test_what_is_not_there_is_none(disk: Disk):
    assert disk.read("a") is None
    assert disk.read("no/such/folder") is None


def test_a_removed_file_is_gone_and_removing_again_is_fine(disk: Disk):
    disk.write("a", b"x")
    disk.remove("a")
    disk.remove("a")
    assert disk.read("a") is None


@pytest.mark.parametrize("path", ["../a", "a/../../b", ".."])
def test_a_path_that_leaves_the_directory_is_refused(disk: Disk, path: str):
    with pytest.raises(InvalidInput, match="leaves"):
        disk.read(path)
    with pytest.raises(InvalidInput):
        disk.write(path, b"x")


def test_on_a_full_disk_the_old_file_stands():
    disk = MemoryDisk()
    disk.write("a", b"old")
    disk.full = True
    with pytest.raises(StorageFull):
        disk.write("a", b"new")
    assert disk.read("a") == b"old"
