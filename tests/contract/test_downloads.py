"""One suite for Downloads, over a socket and on its twin; and a blob fetched over real cuts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from littoral.app.download import HttpsDownloads
from littoral.app.late import LateDownloads
from littoral.app.system import SystemChance, SystemClock
from littoral.domain.blob import CHUNK_LEAST, BlobSource
from littoral.domain.delivery import Cut, Downloads
from littoral.domain.pace import PacePolicy
from littoral.domain.units import Bytes
from littoral.node.fetch import Fetch, FetchParts
from littoral.node.pacer import Pacer
from littoral.stores.blobs import DiskBlobs
from littoral.stores.parts import DiskParts
from littoral.testing.clock import SettableClock
from littoral.testing.downloads import MemoryDownloads
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.origin import Origin, serving
from littoral.trust.blob import measure

DATA = bytes(range(256)) * 2048


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as found:
        found.files["/blob"] = DATA
        yield found


@dataclass
class Subject:
    downloads: Downloads
    address: str
    missing: str
    cuts: list[int]


@pytest.fixture(params=["https", "late", "memory"])
def subject(request: pytest.FixtureRequest, origin: Origin) -> Subject:
    if request.param != "memory":
        made = HttpsDownloads(None) if request.param == "https" else LateDownloads(None)
        return Subject(made, f"{origin.url}/blob", f"{origin.url}/nothing", origin.cuts)

    async def serve(address: str, begin: int, end: int) -> bytes | int:
        return DATA[begin:end] if address == "blob" else 404

    twin = MemoryDownloads(serve)
    return Subject(twin, "blob", "nothing", twin.cuts)


async def read(subject: Subject, begin: int, end: int, got: bytearray) -> None:
    async with subject.downloads.get(subject.address, begin=begin, end=end, gently=True) as answer:
        assert answer.status == 206
        assert answer.begin == begin
        async for piece in answer.pieces:
            got += piece


@pytest.mark.anyio
@pytest.mark.parametrize(("begin", "end"), [(0, len(DATA)), (1000, 1001), (70_000, 200_000)])
async def test_a_range_comes_byte_for_byte(subject: Subject, begin: int, end: int):
    got = bytearray()
    await read(subject, begin, end, got)
    assert bytes(got) == DATA[begin:end]


@pytest.mark.anyio
async def test_a_refusal_has_its_status_and_no_place(subject: Subject):
    async with subject.downloads.get(subject.missing, begin=0, end=1) as answer:
        assert answer.status == 404


@pytest.mark.anyio
async def test_a_line_that_breaks_is_a_cut_behind_what_came(subject: Subject):
    subject.cuts.append(100_000)
    got = bytearray()
    with pytest.raises(Cut):
        await read(subject, 0, len(DATA), got)
    assert bytes(got) == DATA[:100_000]


@pytest.mark.anyio
async def test_nobody_at_an_address_is_a_cut():
    with pytest.raises(Cut):
        async with HttpsDownloads(None).get("http://127.0.0.1:1/x", begin=0, end=1):
            pass


@pytest.mark.anyio
async def test_an_answer_without_a_place_is_taken_for_no_range(origin: Origin):
    origin.ranges = False
    async with HttpsDownloads(None).get(f"{origin.url}/blob", begin=0, end=9) as answer:
        assert (answer.status, answer.begin) == (200, -1)


@pytest.mark.anyio
async def test_a_blob_survives_twenty_real_cuts_without_a_byte_twice(
    origin: Origin, tmp_path: Path
):
    root = str(tmp_path / "blobs")
    blobs = DiskBlobs(root, clock=SettableClock(), failpoints=ArmedFailpoints(), watermark=Bytes(0))
    parts = DiskParts(root, blobs, failpoints=ArmedFailpoints())
    manifest = measure([DATA], kind="gguf", chunk=CHUNK_LEAST)
    origin.cuts = [len(DATA) * n // 21 for n in range(1, 21)]
    clock = SystemClock()

    async def sources(_stale: bool) -> Sequence[BlobSource]:  # noqa: FBT001  as the fetch calls it
        return [BlobSource(name="control", address=f"{origin.url}/blob")]

    async def told(_done: Bytes) -> None:
        return

    fetch = Fetch(
        manifest=manifest,
        world=FetchParts(
            parts=parts,
            downloads=HttpsDownloads(None),
            clock=clock,
            chance=SystemChance(),
            pacer=Pacer(PacePolicy, clock=clock, local=lambda _wall: 0),
            sources=sources,
            told=told,
        ),
    )
    await fetch.run()
    path = await parts.located(manifest.digest)
    assert path is not None
    assert await anyio.Path(path).read_bytes() == DATA
    begun = [int(seen.range.removeprefix("bytes=").partition("-")[0]) for seen in origin.seen]
    assert begun == [0, *(len(DATA) * n // 21 for n in range(1, 21))]
    assert fetch.wasted == 0
