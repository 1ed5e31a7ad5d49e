"""What only a real directory can show of blobs and small files: modes, damage, crashes, space."""

import errno
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from littoral.domain.errors import Damaged, InvalidInput, StorageFull
from littoral.domain.ids import Digest
from littoral.domain.outbox import Row
from littoral.domain.units import Bytes
from littoral.domain.usage import UsageRecord
from littoral.stores.blobs import DiskBlobs
from littoral.stores.body import pack, row_of, unpack
from littoral.stores.disk import LocalDisk
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.usage import usage_record


@pytest.fixture
def failpoints() -> ArmedFailpoints:
    return ArmedFailpoints()


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root: Path, clock: SettableClock, failpoints: ArmedFailpoints) -> DiskBlobs:
    return DiskBlobs(str(root), clock=clock, failpoints=failpoints)


def store(blobs: DiskBlobs, data: bytes) -> Digest:
    writer = blobs.writer()
    writer.write(data)
    return writer.commit()


def test_a_blob_lies_under_its_digest_and_is_private(blobs: DiskBlobs, root: Path):
    name = hashlib.sha256(b"x").hexdigest()
    assert blobs.path(store(blobs, b"x")) == str(root / "sha256" / name[:2] / name)
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_damage_goes_to_quarantine(blobs: DiskBlobs, root: Path, clock: SettableClock):
    digest = store(blobs, b"whole")
    target = Path(blobs.path(digest) or "")
    target.write_bytes(b"wrong")
    assert blobs.path(digest) is None
    aside = root / "quarantine" / f"{target.name}.{clock.wall()}"
    assert aside.read_bytes() == b"wrong"
    assert not target.exists()


def test_a_blob_is_read_once_and_then_trusted_by_size_time_and_inode(blobs: DiskBlobs):
    digest = store(blobs, b"whole")
    target = Path(blobs.path(digest) or "")
    before = target.stat()
    target.write_bytes(b"wrong")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert blobs.path(digest) == str(target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert blobs.path(digest) is None


def test_a_new_process_reads_a_blob_again(blobs: DiskBlobs, root: Path):
    digest = store(blobs, b"whole")
    Path(blobs.path(digest) or "").write_bytes(b"wrong")
    fresh = DiskBlobs(str(root), clock=SettableClock(), failpoints=ArmedFailpoints())
    assert fresh.path(digest) is None


def test_a_crash_after_the_rename_leaves_a_whole_blob(
    blobs: DiskBlobs, root: Path, failpoints: ArmedFailpoints
):
    failpoints.arm("blob.renamed")
    with pytest.raises(Crash):
        store(blobs, b"x")
    assert blobs.verify(Digest(f"sha256:{hashlib.sha256(b'x').hexdigest()}"))
    assert list((root / "tmp").iterdir()) == []


def test_what_nobody_finished_is_swept_after_a_day(
    blobs: DiskBlobs, root: Path, clock: SettableClock
):
    left = blobs.writer()
    left.write(b"half")
    file = next((root / "tmp").iterdir())
    now_ns = clock.wall() * 1000
    os.utime(file, ns=(now_ns, now_ns))
    blobs.writer().abort()
    assert file.exists()
    clock.advance(25 * 3600)
    blobs.writer().abort()
    assert not file.exists()
    left.abort()


def test_a_foreign_file_is_not_listed(blobs: DiskBlobs, root: Path):
    digest = store(blobs, b"x")
    (root / "sha256" / "ab").mkdir()
    (root / "sha256" / "ab" / "notes.txt").write_bytes(b"")
    assert blobs.list() == [digest]


class FullFile:
    """A file on a disk without room."""

    def __init__(self, code: int) -> None:
        self.code = code

    def write(self, _data: bytes) -> int:
        raise OSError(self.code, os.strerror(self.code))

    def close(self) -> None:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_under_way_refuses_and_leaves_nothing(
    blobs: DiskBlobs, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    def fdopen(descriptor: int, _mode: str) -> FullFile:
        os.close(descriptor)
        return FullFile(code)

    monkeypatch.setattr(os, "fdopen", fdopen)
    writer = blobs.writer()
    with pytest.raises(StorageFull, match="a blob"):
        writer.write(b"x")
    assert list((root / "tmp").iterdir()) == []


def test_another_error_of_the_disk_is_not_called_full(
    blobs: DiskBlobs, monkeypatch: pytest.MonkeyPatch
):
    def fdopen(descriptor: int, _mode: str) -> FullFile:
        os.close(descriptor)
        return FullFile(errno.EIO)

    monkeypatch.setattr(os, "fdopen", fdopen)
    with pytest.raises(OSError, match="Input/output"):
        blobs.writer().write(b"x")


def test_free_leaves_the_watermark(root: Path, blobs: DiskBlobs):
    disk = os.statvfs(root.parent)
    room = disk.f_bavail * disk.f_frsize
    small = DiskBlobs(
        str(root), clock=SettableClock(), failpoints=ArmedFailpoints(), watermark=Bytes(room // 2)
    )
    assert small.free() < blobs.free() < room


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path that was synced, in order, as it was called then."""
    paths: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def test_a_blob_is_synced_before_it_is_named_and_its_name_after(
    blobs: DiskBlobs, root: Path, synced: list[str]
):
    target = Path(blobs.path(store(blobs, b"x")) or "")
    synced.clear()
    target.unlink()
    store(blobs, b"x")
    content, name = synced
    assert Path(content).parent == root / "tmp"
    assert name == str(target.parent)


# Small files


def test_a_small_file_is_synced_before_it_is_named_and_its_name_after(
    tmp_path: Path, synced: list[str]
):
    LocalDisk(str(tmp_path)).write("a", b"x")
    content, name = synced
    assert Path(content).name.startswith(".a.")
    assert name == str(tmp_path)


@pytest.mark.parametrize(("private", "mode"), [("yes", 0o600), ("", 0o644)])
def test_a_small_file_has_the_mode_asked_for(tmp_path: Path, private: str, mode: int):
    disk = LocalDisk(str(tmp_path))
    disk.write("a/b", b"x", private=bool(private))
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == mode
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_an_absolute_path_inside_the_directory_is_taken(tmp_path: Path):
    disk = LocalDisk(str(tmp_path))
    disk.write(str(tmp_path / "a"), b"x")
    assert disk.read("a") == b"x"
    with pytest.raises(InvalidInput):
        disk.read("/etc/hostname")
    with pytest.raises(InvalidInput):
        disk.remove(str(tmp_path))


def test_when_the_sync_finds_no_room_the_old_file_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = LocalDisk(str(tmp_path))
    disk.write("a", b"old")

    def fsync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFull, match="'a'"):
        disk.write("a", b"new")
    monkeypatch.undo()
    assert disk.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# Bodies of records


@pytest.mark.parametrize("body", [b"", None, b"\x90"])
def test_a_body_without_its_fields_is_damaged(body: bytes | None):
    with pytest.raises(Damaged):
        unpack(body, UsageRecord)


def test_fields_of_a_newer_version_are_left_out_and_wrong_ones_and_unknown_kinds_refused():
    record = usage_record(1)
    values = msgspec.msgpack.decode(pack(record))
    newer = msgspec.msgpack.encode([*values, "a field of tomorrow"])
    assert row_of(4, 1, newer, mac=b"m") == Row(seq=4, mac=b"m", usage=record)
    with pytest.raises(Damaged, match="cannot be read"):
        unpack(msgspec.msgpack.encode(["r", "zero", *values[2:]]), UsageRecord)
    with pytest.raises(Damaged, match="kind 77"):
        row_of(1, 77, newer, mac=b"")
