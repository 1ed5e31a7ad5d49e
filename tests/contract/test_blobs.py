"""One suite for Blobs, on the disk and on its twin."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from littoral.domain.errors import Damaged, InvalidInput, StorageFull
from littoral.domain.ids import Digest
from littoral.domain.ports import Blobs, BlobWriter
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs, watermark_of
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints

Damager = Callable[[Blobs, Digest], None]


def digest_of(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


@pytest.fixture(params=["disk", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def blobs(kind: str, tmp_path: Path) -> Blobs:
    if kind == "memory":
        return MemoryBlobs()
    return DiskBlobs(str(tmp_path / "blobs"), clock=SettableClock(), failpoints=ArmedFailpoints())


@pytest.fixture
def full(kind: str, tmp_path: Path) -> Blobs:
    if kind == "memory":
        return MemoryBlobs(room=Bytes(0))
    return DiskBlobs(
        str(tmp_path / "blobs"),
        clock=SettableClock(),
        failpoints=ArmedFailpoints(),
        watermark=Bytes(1 << 60),
    )


@pytest.fixture
def damage(tmp_path: Path) -> Damager:
    def flip(blobs: Blobs, digest: Digest) -> None:
        if isinstance(blobs, MemoryBlobs):
            blobs.files[digest] = b"damaged"
            return
        name = digest.removeprefix("sha256:")
        (tmp_path / "blobs" / "sha256" / name[:2] / name).write_bytes(b"damaged")

    return flip


def store(blobs: Blobs, *pieces: bytes) -> Digest:
    writer: BlobWriter = blobs.writer()
    for piece in pieces:
        writer.write(piece)
    return writer.commit()


def test_a_blob_is_named_by_its_content(blobs: Blobs):
    digest = store(blobs, b"hello ", b"world")
    assert digest == digest_of(b"hello world")
    assert blobs.path(digest) is not None
    assert blobs.list() == [digest]
    assert blobs.verify(digest)


def test_the_directory_shows_sizes_and_when_each_was_written(blobs: Blobs):
    assert blobs.stored() == []
    digest = store(blobs, b"hello")
    (shown,) = blobs.stored()
    assert (shown.digest, shown.size) == (digest, 5)
    assert shown.written_us >= 0


def test_an_empty_blob_is_a_blob(blobs: Blobs):
    assert store(blobs) == digest_of(b"")


def test_what_is_under_way_is_invisible_until_committed(blobs: Blobs):
    writer = blobs.writer()
    writer.write(b"x")
    assert blobs.list() == []
    assert blobs.path(digest_of(b"x")) is None
    writer.commit(digest_of(b"x"))
    assert blobs.list() == [digest_of(b"x")]


def test_what_was_written_so_far_can_be_read(blobs: Blobs):
    writer = blobs.writer()
    with writer.view() as view:
        assert bytes(view) == b""
    for piece in (b"hello ", b"world"):
        writer.write(piece)
    with writer.view() as view:
        assert bytes(view) == b"hello world"
    assert writer.commit() == digest_of(b"hello world")


def test_an_aborted_blob_leaves_nothing(blobs: Blobs):
    writer = blobs.writer()
    writer.write(b"x")
    writer.abort()
    writer.abort()
    assert blobs.list() == []


def test_abort_after_commit_keeps_the_blob(blobs: Blobs):
    writer = blobs.writer()
    writer.write(b"x")
    digest = writer.commit()
    writer.abort()
    assert blobs.path(digest) is not None


def test_other_bytes_than_expected_are_damaged_and_dropped(blobs: Blobs):
    writer = blobs.writer()
    writer.write(b"x")
    with pytest.raises(Damaged, match=digest_of(b"y")):
        writer.commit(digest_of(b"y"))
    assert blobs.list() == []


def test_the_same_content_twice_is_one_blob(blobs: Blobs):
    assert store(blobs, b"x") == store(blobs, b"x")
    assert len(blobs.list()) == 1


def test_blobs_are_listed_in_order(blobs: Blobs):
    stored = [store(blobs, bytes([number])) for number in range(20)]
    assert blobs.list() == sorted(stored)


def test_a_damaged_blob_is_absent_and_may_be_stored_again(blobs: Blobs, damage: Damager):
    digest = store(blobs, b"whole")
    damage(blobs, digest)
    assert blobs.path(digest) is None
    assert blobs.list() == []
    store(blobs, b"whole")
    assert blobs.verify(digest)


def test_verify_finds_damage_also_after_a_first_use(blobs: Blobs, damage: Damager):
    digest = store(blobs, b"whole")
    assert blobs.path(digest) is not None
    damage(blobs, digest)
    assert not blobs.verify(digest)
    assert not blobs.verify(digest)


def test_a_removed_blob_is_gone(blobs: Blobs):
    digest = store(blobs, b"x")
    assert blobs.remove(digest) is True
    assert blobs.remove(digest) is False
    assert blobs.path(digest) is None


def test_free_is_what_may_still_be_written(blobs: Blobs, full: Blobs):
    assert blobs.free() > 0
    assert full.free() == 0


def test_past_the_watermark_no_blob_begins(full: Blobs):
    with pytest.raises(StorageFull):
        full.writer()
    assert full.list() == []


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64])
def test_what_is_no_digest_is_refused(blobs: Blobs, digest: str):
    with pytest.raises(InvalidInput, match="is no digest"):
        blobs.path(Digest(digest))
    with pytest.raises(InvalidInput):
        blobs.remove(Digest(digest))


def test_what_is_fetched_leaves_a_tenth_of_a_disk_or_a_gibibyte():
    gibi = 1 << 30
    assert watermark_of(Bytes(8 * gibi)) == gibi
    assert watermark_of(Bytes(500 * gibi)) == 50 * gibi
