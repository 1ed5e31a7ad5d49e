"""A blob is made from a delta only where it is the one that was signed."""

import hashlib
from pathlib import Path

import pytest

from littoral.domain.blob import BlobManifest, DeltaOffer
from littoral.domain.errors import Damaged
from littoral.domain.ids import Digest
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs
from littoral.stores.rebuild import Rebuilder, mapped
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.gguf import write
from littoral.trust.blob import measure
from littoral.trust.delta import make

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Here:
    """A node's blobs with a parent, and the delta to a child that is not here."""

    def __init__(self, folder: Path) -> None:
        self.blobs = DiskBlobs(
            str(folder / "blobs"),
            clock=SettableClock(),
            failpoints=ArmedFailpoints(),
            watermark=Bytes(0),
        )
        old = write(folder / "tiny.gguf").read_bytes()
        self.child = old[:-500] + bytes(500)
        self.parent = self.store(old)
        digests = (hashlib.sha256(old).digest(), hashlib.sha256(self.child).digest())
        packed = b"".join(make(memoryview(old), memoryview(self.child), digests=digests))
        self.packed = folder / "delta"
        self.packed.write_bytes(packed)
        self.manifest: BlobManifest = measure([self.child], kind="gguf")
        self.offer = DeltaOffer(
            parent=self.parent,
            digest=Digest(f"sha256:{hashlib.sha256(packed).hexdigest()}"),
            size=Bytes(len(packed)),
            tensors=1,
        )

    def store(self, data: bytes) -> Digest:
        writer = self.blobs.writer()
        writer.write(data)
        return writer.commit()

    async def rebuild(self) -> bool:
        maker = Rebuilder(self.blobs)
        return await maker.rebuild(self.offer, str(self.packed), self.manifest)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


async def test_the_child_is_made_from_its_parent(here: Here):
    assert here.offer.size < here.manifest.size // 50
    assert await here.rebuild()
    path = here.blobs.path(here.manifest.digest)
    with mapped(path or "") as made:
        assert bytes(made) == here.child


async def test_without_the_parent_nothing_is_made(here: Here):
    here.blobs.remove(here.parent)
    assert not await here.rebuild()


async def test_a_delta_that_gives_something_else_leaves_nothing(here: Here):
    here.manifest = measure([here.child[:-1] + b"x"], kind="gguf")
    with pytest.raises(Damaged, match="these bytes are"):
        await here.rebuild()
    assert here.blobs.list() == [here.parent]


async def test_a_delta_of_another_parent_is_not_applied(here: Here):
    packed = bytearray(here.packed.read_bytes())
    packed[8] ^= 1
    here.packed.write_bytes(packed)
    with pytest.raises(Damaged, match="another parent"):
        await here.rebuild()


async def test_an_empty_file_is_no_delta(here: Here):
    here.packed.write_bytes(b"")
    with pytest.raises(Damaged, match="too short"):
        await here.rebuild()
