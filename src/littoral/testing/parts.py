"""Blobs under way, in memory."""

import hashlib
from collections.abc import Mapping, Sequence

from littoral.domain.blob import BlobManifest
from littoral.domain.delivery import BlobPart
from littoral.domain.errors import Damaged, StorageFull
from littoral.domain.ids import Digest
from littoral.domain.ports import Failpoints
from littoral.domain.units import Bytes
from littoral.testing.blobs import MemoryBlobs


class MemoryParts:
    """Twin of ``BlobParts``. ``chunks`` are the verified ones, by blob; they outlive a process."""

    def __init__(self, blobs: MemoryBlobs, *, failpoints: Failpoints) -> None:
        self.blobs = blobs
        self.chunks: dict[Digest, dict[int, bytes]] = {}
        self.failpoints = failpoints

    async def open(self, manifest: BlobManifest) -> BlobPart:
        """Begin a blob, or go on with what is there of it."""
        return _MemoryPart(self, manifest)

    async def list(self) -> Sequence[Digest]:
        """Blobs under way, in order."""
        return sorted(self.chunks)

    async def whole(self) -> Sequence[Digest]:
        """Blobs that are whole, in order."""
        return self.blobs.list()

    async def remove(self, digest: Digest) -> None:
        """Drop what is there of a blob under way."""
        self.chunks.pop(digest, None)

    async def located(self, digest: Digest) -> str | None:
        """Path of a whole blob, else None."""
        return self.blobs.path(digest)

    async def read(self, digest: Digest, begin: int, most: int) -> bytes | None:
        """Bytes of a whole blob from a place on, at most so many; None where it is not whole."""
        data = self.blobs.files.get(digest)
        return None if data is None else data[begin : begin + most]

    async def sizes(self) -> Mapping[Digest, Bytes]:
        """Bytes of every blob that is whole or under way."""
        found = {each: sum(map(len, known.values())) for each, known in self.chunks.items()}
        found |= {each: len(data) for each, data in self.blobs.files.items()}
        return {each: Bytes(size) for each, size in found.items()}

    async def discard(self, digest: Digest) -> None:
        """Remove a blob, whole or under way."""
        await self.remove(digest)
        self.blobs.remove(digest)

    async def free(self) -> Bytes:
        """Bytes that may still be written."""
        return self.blobs.free()


class _MemoryPart:
    def __init__(self, parts: MemoryParts, manifest: BlobManifest) -> None:
        self._parts = parts
        self._manifest = manifest
        self._chunks = parts.chunks.setdefault(manifest.digest, {})
        self._index, self._open = 0, b""

    def has(self, index: int) -> bool:
        """Whether a chunk is there, verified."""
        return index in self._chunks

    async def filled(self, index: int) -> int:
        """How many bytes of a chunk were written so far."""
        return len(self._open) if index == self._index and not self.has(index) else 0

    async def write(self, index: int, data: bytes) -> None:
        """Append to a chunk."""
        if len(data) > self._parts.blobs.free():
            raise StorageFull("no room for a blob under way")
        kept = self._open if index == self._index else b""
        self._index, self._open = index, (kept + data)[: self._manifest.length(index)]

    async def seal(self, index: int) -> bool:
        """Verify a chunk that is full."""
        data, self._open = self._open, b""
        good = hashlib.sha256(data).digest() == self._manifest.chunks[index]
        if good:
            self._chunks[index] = data
        self._parts.failpoints.hit("chunk.synced")
        return good

    async def read(self, index: int) -> bytes | None:
        """A verified chunk, for a peer."""
        return self._chunks.get(index)

    async def commit(self) -> None:
        """Make the blob visible."""
        if len(self._chunks) < len(self._manifest.chunks):
            raise Damaged(f"{self._manifest.digest} is not whole yet")
        data = b"".join(chunk for _, chunk in sorted(self._chunks.items()))
        writer = self._parts.blobs.writer()
        writer.write(data)
        writer.commit(self._manifest.digest)
        await self._parts.remove(self._manifest.digest)

    async def close(self) -> None:
        """Let go of it."""
