"""Blobs under way: ``parts/<64 hex>.part``, and beside it a map of the chunks that are verified.

The map is magic, the SHA-256 of the manifest's chunk digests, one byte a chunk, and where the open
chunk stands. A chunk's bytes are synced before its byte in the map is. A map that does not belong
is made again from what is there, by hashing it.
"""

import hashlib
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

from anyio import CapacityLimiter, to_thread

from littoral.domain.blob import BlobManifest
from littoral.domain.delivery import BlobPart
from littoral.domain.errors import Damaged
from littoral.domain.ids import DIGEST, Digest
from littoral.domain.ports import Failpoints
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs
from littoral.stores.durable import room_for, sync_folder

T = TypeVar("T")
MAGIC: Final = b"LITPART1"
_OPEN: Final = struct.Struct("<QQ")
_HEAD: Final = len(MAGIC) + 32
NOTE_EVERY: Final = 256 << 10
"""How often it is noted, without a sync, how far the open chunk is."""


class DiskParts:
    """Adapter of ``BlobParts``, beside the blobs of a disk.

    Args:
        root: The folder of the blobs.
        blobs: Takes what is whole.
        failpoints: ``chunk.synced`` stands behind a chunk's sync.
    """

    def __init__(self, root: str, blobs: DiskBlobs, *, failpoints: Failpoints) -> None:
        self._folder = Path(root) / "parts"
        self._blobs = blobs
        self._failpoints = failpoints
        self._limiter: CapacityLimiter | None = None

    async def open(self, manifest: BlobManifest) -> BlobPart:
        """Begin a blob, or go on with what is there of it."""
        part = _DiskPart(self, manifest, blobs=self._blobs, failpoints=self._failpoints)
        await self.work(part.begin)
        return part

    async def list(self) -> Sequence[Digest]:
        """Blobs under way, in order."""
        return await self.work(self._list)

    async def whole(self) -> Sequence[Digest]:
        """Blobs that are whole, in order."""
        return await self.work(self._blobs.list)

    async def remove(self, digest: Digest) -> None:
        """Drop what is there of a blob under way."""
        for place in self.places(digest):
            await self.work(lambda place=place: place.unlink(missing_ok=True))

    async def located(self, digest: Digest) -> str | None:
        """Path of a whole blob, else None."""
        return await self.work(lambda: self._blobs.path(digest))

    async def read(self, digest: Digest, begin: int, most: int) -> bytes | None:
        """Bytes of a whole blob from a place on, at most so many; None where it is not whole."""
        return await self.work(lambda: self._read(digest, begin, most))

    async def sizes(self) -> Mapping[Digest, Bytes]:
        """Bytes of every blob that is whole or under way."""
        return await self.work(self._sizes)

    def _sizes(self) -> Mapping[Digest, Bytes]:
        under_way = {each: self.places(each)[0] for each in self._list()}
        whole = {each: self._blobs.place(each) for each in self._blobs.list()}
        found = {**under_way, **whole}
        return {each: Bytes(place.stat().st_size) for each, place in found.items()}

    async def discard(self, digest: Digest) -> None:
        """Remove a blob, whole or under way."""
        await self.remove(digest)
        await self.work(lambda: self._blobs.remove(digest))

    async def free(self) -> Bytes:
        """Bytes that may still be written."""
        return await self.work(self._blobs.free)

    def places(self, digest: Digest) -> tuple[Path, Path]:
        """Where the bytes and the map of a blob under way are."""
        name = digest.removeprefix("sha256:")
        return self._folder / f"{name}.part", self._folder / f"{name}.map"

    async def work(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread of our own few."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(2)
        return await to_thread.run_sync(call, limiter=self._limiter)

    def _read(self, digest: Digest, begin: int, most: int) -> bytes | None:
        path = self._blobs.path(digest)
        if path is None:
            return None
        with Path(path).open("rb", buffering=0) as file:
            file.seek(begin)
            return file.read(most)

    def _list(self) -> Sequence[Digest]:
        names = sorted(path.stem for path in self._folder.glob("*.part"))
        found = [Digest(f"sha256:{name}") for name in names]
        return [digest for digest in found if DIGEST.fullmatch(digest)]


class _DiskPart:
    """One blob under way; every method that blocks runs in a thread."""

    def __init__(
        self,
        parts: DiskParts,
        manifest: BlobManifest,
        *,
        blobs: DiskBlobs,
        failpoints: Failpoints,
    ) -> None:
        self._parts = parts
        self._manifest = manifest
        self._blobs = blobs
        self._failpoints = failpoints
        self._bytes, self._map = parts.places(manifest.digest)
        self._data, self._marks = -1, -1
        self._have = bytearray(len(manifest.chunks))
        self._index, self._filled, self._noted = 0, 0, 0

    def has(self, index: int) -> bool:
        """Whether a chunk is there, verified and synced."""
        return bool(self._have[index])

    async def filled(self, index: int) -> int:
        """How many bytes of a chunk were written so far."""
        return self._filled if index == self._index and not self.has(index) else 0

    async def write(self, index: int, data: bytes) -> None:
        """Append to a chunk."""
        await self._parts.work(lambda: self._write(index, data))

    async def seal(self, index: int) -> bool:
        """Verify a chunk that is full, and sync it."""
        return await self._parts.work(lambda: self._seal(index))

    async def read(self, index: int) -> bytes | None:
        """A verified chunk, for a peer."""
        return await self._parts.work(lambda: self._chunk(index)) if self.has(index) else None

    async def commit(self) -> None:
        """Make the blob visible."""
        await self._parts.work(self._commit)

    async def close(self) -> None:
        """Let go of it."""
        await self._parts.work(self._close)

    def begin(self) -> None:
        """Open the files, and read or make the map; blocks."""
        self._bytes.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with room_for("a blob under way"):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._data = os.open(self._bytes, flags, 0o600)
            self._marks = os.open(self._map, flags, 0o600)
            if not self._resumed():
                self._rebuild()

    def _resumed(self) -> bool:
        size = _HEAD + len(self._have) + _OPEN.size
        marks = os.pread(self._marks, size + 1, 0)
        if len(marks) != size or marks[:_HEAD] != self._head():
            return False
        self._have[:] = marks[_HEAD : _HEAD + len(self._have)]
        index, filled = cast("tuple[int, int]", _OPEN.unpack(marks[-_OPEN.size :]))
        if index < len(self._have) and filled < self._manifest.length(index):
            self._index, self._filled = index, filled
        return True

    def _rebuild(self) -> None:
        size = os.fstat(self._data).st_size
        for index in range(len(self._have)):
            if self._manifest.begin(index) + self._manifest.length(index) <= size:
                self._have[index] = self._is_good(index)
        os.fsync(self._data)
        os.ftruncate(self._marks, 0)
        os.pwrite(self._marks, self._head() + bytes(self._have) + _OPEN.pack(0, 0), 0)
        os.fsync(self._marks)
        sync_folder(str(self._bytes.parent))

    def _write(self, index: int, data: bytes) -> None:
        if index != self._index:
            self._index, self._filled = index, 0
        room = self._manifest.length(index) - self._filled
        with room_for("a blob under way"):
            begin = self._manifest.begin(index) + self._filled
            written = 0
            while written < min(room, len(data)):
                written += os.pwrite(self._data, data[written:room], begin + written)
            self._filled += written
            if abs(self._filled - self._noted) >= NOTE_EVERY:
                self._note()

    def _seal(self, index: int) -> bool:
        good = self._is_good(index)
        self._filled = 0
        with room_for("a blob under way"):
            if good:
                os.fsync(self._data)
                self._have[index] = 1
                os.pwrite(self._marks, b"\x01", _HEAD + index)
            self._note()
            os.fsync(self._marks)
        self._failpoints.hit("chunk.synced")
        return good

    def _note(self) -> None:
        place = _HEAD + len(self._have)
        os.pwrite(self._marks, _OPEN.pack(self._index, self._filled), place)
        self._noted = self._filled

    def _commit(self) -> None:
        if not all(self._have):
            raise Damaged(f"{self._manifest.digest} is not whole yet")
        with room_for("a blob"):
            os.ftruncate(self._data, self._manifest.size)
            os.fsync(self._data)
        self._close()
        self._blobs.adopt(self._bytes, self._manifest.digest)
        self._map.unlink(missing_ok=True)
        if self._blobs.path(self._manifest.digest) is None:
            raise Damaged(f"the chunks of {self._manifest.digest} are not that blob")

    def _close(self) -> None:
        for descriptor in (self._data, self._marks):
            if descriptor >= 0:
                os.close(descriptor)
        self._data, self._marks = -1, -1

    def _is_good(self, index: int) -> bool:
        return hashlib.sha256(self._chunk(index)).digest() == self._manifest.chunks[index]

    def _chunk(self, index: int) -> bytes:
        begin, left = self._manifest.begin(index), self._manifest.length(index)
        pieces: list[bytes] = []
        while left and (piece := os.pread(self._data, left, begin)):
            pieces.append(piece)
            begin, left = begin + len(piece), left - len(piece)
        return b"".join(pieces)

    def _head(self) -> bytes:
        return MAGIC + hashlib.sha256(b"".join(self._manifest.chunks)).digest()
