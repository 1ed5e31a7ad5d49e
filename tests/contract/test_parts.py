"""One suite for BlobParts, on the disk and on its twin: what was verified is never lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from littoral.domain.blob import CHUNK_LEAST, BlobManifest
from littoral.domain.delivery import BlobParts
from littoral.domain.errors import Damaged, StorageFull
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs
from littoral.stores.parts import DiskParts
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.parts import MemoryParts
from littoral.trust.blob import measure

DATA = bytes(range(256)) * 700
CHUNK = int(CHUNK_LEAST)
Again = Callable[[], BlobParts]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def failpoints() -> ArmedFailpoints:
    return ArmedFailpoints()


@pytest.fixture(params=["disk", "memory"])
def again(request: pytest.FixtureRequest, tmp_path: Path, failpoints: ArmedFailpoints) -> Again:
    """The parts as a new process finds them."""
    if request.param == "memory":
        kept = MemoryParts(MemoryBlobs(), failpoints=failpoints)
        return lambda: kept

    def opened() -> BlobParts:
        root = str(tmp_path / "blobs")
        blobs = DiskBlobs(root, clock=SettableClock(), failpoints=failpoints)
        return DiskParts(root, blobs, failpoints=failpoints)

    return opened


def manifest(data: bytes = DATA) -> BlobManifest:
    return measure([data], kind="gguf", chunk=CHUNK_LEAST)


def chunk(index: int) -> bytes:
    return DATA[index * CHUNK : (index + 1) * CHUNK]


@pytest.mark.anyio
async def test_blobs_whole_and_under_way_have_sizes_and_may_be_discarded(again):
    parts, whole = again(), manifest()
    other = manifest(DATA + b"more")
    part = await parts.open(whole)
    await fill(part, *range(len(whole.chunks)))
    await part.commit()
    await part.close()
    begun = await parts.open(other)
    await fill(begun, 0)
    await begun.close()
    sizes = await parts.sizes()
    assert sizes[whole.digest] == whole.size
    assert 0 < sizes[other.digest] < other.size
    for digest in (whole.digest, other.digest):
        await parts.discard(digest)
    assert await parts.sizes() == {}
    await parts.discard(whole.digest)


async def fill(part, *indexes: int) -> None:
    for index in indexes:
        await part.write(index, chunk(index))
        assert await part.seal(index)


@pytest.mark.anyio
async def test_a_blob_is_there_once_every_chunk_is(again: Again):
    parts, wanted = again(), manifest()
    part = await parts.open(wanted)
    await fill(part, 2, 0)
    assert await parts.located(wanted.digest) is None
    assert await parts.whole() == []
    await fill(part, 1)
    await part.commit()
    assert await parts.located(wanted.digest) is not None
    assert await parts.whole() == [wanted.digest]
    assert await parts.list() == []


@pytest.mark.anyio
async def test_a_blob_that_is_not_whole_cannot_be_committed(again: Again):
    part = await again().open(manifest())
    await fill(part, 0)
    with pytest.raises(Damaged, match="not whole"):
        await part.commit()


@pytest.mark.anyio
async def test_verified_chunks_outlive_the_process(again: Again):
    parts, wanted = again(), manifest()
    part = await parts.open(wanted)
    await fill(part, 1)
    await part.close()
    later = again()
    assert await later.list() == [wanted.digest]
    part = await later.open(wanted)
    assert [part.has(index) for index in range(3)] == [False, True, False]
    assert await part.read(1) == chunk(1)
    assert await part.read(0) is None
    await part.close()


@pytest.mark.anyio
async def test_a_chunk_is_filled_piece_by_piece(again: Again):
    part = await again().open(manifest())
    await part.write(0, chunk(0)[:1000])
    assert await part.filled(0) == 1000
    assert await part.filled(1) == 0
    await part.write(0, chunk(0)[1000:] + b"more than belongs to it")
    assert await part.filled(0) == CHUNK
    assert await part.seal(0)
    assert await part.filled(0) == 0
    await part.close()


@pytest.mark.anyio
async def test_a_bad_chunk_is_forgotten(again: Again):
    part = await again().open(manifest())
    await part.write(0, bytes(CHUNK))
    assert not await part.seal(0)
    assert not part.has(0)
    assert await part.filled(0) == 0
    await fill(part, 0)
    await part.close()


@pytest.mark.anyio
async def test_beginning_another_chunk_forgets_the_open_one(again: Again):
    part = await again().open(manifest())
    await part.write(0, b"x")
    await part.write(1, b"y")
    assert [await part.filled(0), await part.filled(1)] == [0, 1]
    await part.close()


@pytest.mark.anyio
async def test_a_process_that_dies_behind_a_sync_keeps_the_chunk(
    again: Again, failpoints: ArmedFailpoints
):
    part = await again().open(manifest())
    await part.write(0, chunk(0))
    failpoints.arm("chunk.synced")
    with pytest.raises(Crash):
        await part.seal(0)
    part = await again().open(manifest())
    assert part.has(0)
    await part.close()


@pytest.mark.anyio
async def test_what_is_under_way_can_be_dropped(again: Again):
    parts, wanted = again(), manifest()
    part = await parts.open(wanted)
    await fill(part, 0)
    await part.close()
    await parts.remove(wanted.digest)
    assert await parts.list() == []
    part = await parts.open(wanted)
    assert not part.has(0)
    await part.close()


@pytest.mark.anyio
async def test_an_empty_blob_is_a_blob(again: Again):
    parts, wanted = again(), manifest(b"")
    part = await parts.open(wanted)
    await part.commit()
    assert await parts.whole() == [wanted.digest]


@pytest.mark.anyio
async def test_a_full_memory_says_so():
    parts = MemoryParts(MemoryBlobs(room=Bytes(10)), failpoints=ArmedFailpoints())
    part = await parts.open(manifest())
    with pytest.raises(StorageFull):
        await part.write(0, chunk(0))
    assert await parts.free() == 10


def on_disk(tmp_path: Path) -> DiskParts:
    root = str(tmp_path / "blobs")
    blobs = DiskBlobs(root, clock=SettableClock(), failpoints=ArmedFailpoints())
    return DiskParts(root, blobs, failpoints=ArmedFailpoints())


@pytest.mark.anyio
async def test_a_lost_or_torn_map_is_made_again_from_the_bytes(tmp_path: Path):
    parts, wanted = on_disk(tmp_path), manifest()
    part = await parts.open(wanted)
    await fill(part, 0, 1)
    await part.close()
    data, marks = parts.places(wanted.digest)
    marks.write_bytes(marks.read_bytes()[:-3])
    with data.open("r+b") as file:
        file.seek(CHUNK + 5)
        file.write(b"rot")
    part = await on_disk(tmp_path).open(wanted)
    assert [part.has(index) for index in range(3)] == [True, False, False]
    await part.close()


@pytest.mark.anyio
async def test_the_open_chunk_is_taken_up_where_it_was_noted(tmp_path: Path):
    wanted = measure([DATA * 8], kind="gguf")
    part = await on_disk(tmp_path).open(wanted)
    for at in range(0, 300 << 10, 50 << 10):
        await part.write(0, (DATA * 8)[at : at + (50 << 10)])
    await part.close()
    part = await on_disk(tmp_path).open(wanted)
    assert await part.filled(0) == 300 << 10
    await part.close()


@pytest.mark.anyio
async def test_chunks_that_rotted_behind_their_check_do_not_become_a_blob(tmp_path: Path):
    parts, wanted = on_disk(tmp_path), manifest()
    part = await parts.open(wanted)
    await fill(part, 0, 1, 2)
    with parts.places(wanted.digest)[0].open("r+b") as file:
        file.write(b"rot")
    with pytest.raises(Damaged, match="are not that blob"):
        await part.commit()
    assert await parts.whole() == []


@pytest.mark.anyio
async def test_a_whole_blob_is_read_from_any_place_and_one_under_way_is_not(again):
    parts, found = again(), manifest()
    part = await parts.open(found)
    await fill(part, 0)
    assert await parts.read(found.digest, 0, 10) is None
    await fill(part, *range(1, len(found.chunks)))
    await part.commit()
    await part.close()
    assert await parts.read(found.digest, CHUNK - 5, 10) == DATA[CHUNK - 5 : CHUNK + 5]
    assert await parts.read(found.digest, len(DATA) - 5, 10) == DATA[-5:]
