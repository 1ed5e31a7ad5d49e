"""A version of several files: parts of the weights are joined, the others stand beside them."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from littoral.domain.model import FileSpec, SideFileSpec, VersionSpec, VersionStatus
from littoral.domain.units import Bytes
from littoral.jobs.intake import SIDE_BYTES
from littoral.jobs.obtain import Obtaining, World
from littoral.testing import gguf, onnx
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

MODEL = onnx.model()
HALF = len(MODEL) // 2
FILES = {
    "given:one": MODEL[:HALF],
    "given:two": MODEL[HALF:],
    "given:whole": MODEL,
    "given:words": b'{"words": []}',
    "given:zip": b"PK\x03\x04" + bytes(600),
    "given:long": bytes(SIDE_BYTES + 1),
}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def pinned(source: str) -> dict[str, object]:
    data = FILES[source]
    return {
        "source": source,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": Bytes(len(data)),
    }


def beside(name: str, source: str) -> SideFileSpec:
    return SideFileSpec(name=name, **pinned(source))


class Given:
    """Gives files by their source; remembers into which folder."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Callable[[int, int | None], None]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        self.folders.append(Path(scratch).name)
        progress(len(FILES[file.source]), None)
        yield self._pieces(FILES[file.source])

    async def _pieces(self, data: bytes) -> AsyncGenerator[bytes]:
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]


class Desk:
    """Obtains one version to its end."""

    def __init__(self, tmp_path: Path) -> None:
        self.source = Given()
        self.blobs = MemoryBlobs()
        self.state = MemoryState()
        self.scratch = str(tmp_path)
        self.obtaining = self.made()

    def made(self) -> Obtaining:
        return Obtaining(
            World(
                state=self.state,
                blobs=self.blobs,
                source=lambda _: self.source,
                scratch=self.scratch,
                sink=ListSink(),
                clock=SettableClock(),
            )
        )

    async def obtain(self, version: VersionSpec) -> VersionStatus:
        self.obtaining.start("m", version)
        async with anyio.create_task_group() as group:
            group.start_soon(self.obtaining.run)
            with anyio.fail_after(10):
                while self.status.phase not in {"ready", "failed"}:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        return self.status

    @property
    def status(self) -> VersionStatus:
        (status,) = self.obtaining.statuses()
        return status


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(tmp_path)


async def test_parts_are_joined_and_the_others_stand_beside(desk):
    version = VersionSpec(
        name="v",
        **pinned("given:one"),
        files=(beside("tokenizer.json", "given:words"), beside("weights", "given:two")),
    )
    status = await desk.obtain(version)
    artefact = status.artefact
    assert artefact is not None, status.error
    assert artefact.digest == f"sha256:{onnx.SHA256}"
    assert [file.name for file in artefact.files] == ["tokenizer.json"]
    assert desk.blobs.files[artefact.files[0].digest] == FILES["given:words"]
    assert status.done == status.total == len(MODEL) + len(FILES["given:words"])
    assert sorted(desk.blobs.list()) == sorted(artefact.digests)


async def test_files_of_one_source_share_a_folder_and_others_do_not(desk):
    version = VersionSpec(
        name="v",
        **pinned("given:whole"),
        files=(
            beside("a", "given:words"),
            beside("b", "given:words"),
        ),
    )
    assert (await desk.obtain(version)).phase == "ready"
    assert desk.source.folders == ["1", "1", "v"]


async def test_weights_that_must_be_pinned_are_refused_where_they_are_not(desk):
    status = await desk.obtain(VersionSpec(name="v", source="given:whole"))
    assert status.phase == "failed"
    assert "give sha256" in (status.error or "")
    assert desk.blobs.list() == []


@pytest.mark.parametrize(
    ("source", "why"), [("given:zip", "zip"), ("given:long", f"more than {SIDE_BYTES}")]
)
async def test_what_goes_with_weights_is_looked_at_too(desk, source, why):
    file = SideFileSpec(name="a", source=source)
    status = await desk.obtain(VersionSpec(name="v", **pinned("given:whole"), files=(file,)))
    assert status.phase == "failed"
    assert why in (status.error or "")


async def test_a_file_of_other_bytes_than_pinned_fails_the_version(desk):
    wrong = replace(beside("a", "given:words"), sha256="0" * 64)
    status = await desk.obtain(VersionSpec(name="v", **pinned("given:whole"), files=(wrong,)))
    assert status.phase == "failed"
    assert status.artefact is None


async def test_a_version_without_one_of_its_files_is_obtained_again(desk):
    version = VersionSpec(name="v", **pinned("given:whole"), files=(beside("a", "given:words"),))
    artefact = (await desk.obtain(version)).artefact
    assert artefact is not None
    desk.blobs.remove(artefact.files[0].digest)
    desk.obtaining = desk.made()
    assert desk.status.phase == "failed"
    assert "gone from this disk" in (desk.status.error or "")
    assert (await desk.obtain(version)).phase == "ready"


async def test_gguf_weights_need_no_pin(desk, tmp_path):
    FILES["given:gguf"] = gguf.write(tmp_path / "tiny.gguf").read_bytes()
    status = await desk.obtain(VersionSpec(name="v", source="given:gguf"))
    assert status.phase == "ready"
