"""Blobs in memory."""

import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from littoral.domain.blob import StoredBlob
from littoral.domain.errors import Damaged, InvalidInput, StorageFull
from littoral.domain.ids import DIGEST, Digest
from littoral.domain.ports import BlobWriter
from littoral.domain.units import Bytes, Micros


class MemoryBlobs:
    """Twin of ``Blobs``: ``files`` by digest, ``room`` bytes in all.

    A path is ``memory:`` and the digest: it names the blob, but nothing can open it. ``written`` is
    when some were, for a test to say.
    """

    def __init__(self, room: Bytes = Bytes(1 << 40)) -> None:
        self.room = room
        self.files: dict[Digest, bytes] = {}
        self.written: dict[Digest, Micros] = {}

    def path(self, digest: Digest) -> str | None:
        """A name for a blob that is present and whole, else None; a damaged one is dropped."""
        data = self.files.get(_checked(digest))
        if data is None:
            return None
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            del self.files[digest]
            return None
        return f"memory:{digest}"

    def writer(self) -> BlobWriter:
        """Begin a new blob."""
        if self.free() == 0:
            raise StorageFull("no room for a blob")
        return _Writer(self)

    def list(self) -> Sequence[Digest]:
        """All blobs present, in order."""
        return sorted(self.files)

    def stored(self) -> Sequence[StoredBlob]:
        """All blobs present, in order."""
        return [
            StoredBlob(
                digest=digest,
                size=Bytes(len(self.files[digest])),
                written_us=self.written.get(digest, Micros(0)),
            )
            for digest in self.list()
        ]

    def remove(self, digest: Digest) -> bool:
        """Remove a blob; False where there was none."""
        return self.files.pop(_checked(digest), None) is not None

    def free(self) -> Bytes:
        """Bytes that may still be written."""
        return Bytes(max(0, self.room - sum(len(data) for data in self.files.values())))

    def verify(self, digest: Digest) -> bool:
        """Compare the digest; False where the blob is absent or damaged."""
        return self.path(digest) is not None


class _Writer:
    def __init__(self, blobs: MemoryBlobs) -> None:
        self._blobs = blobs
        self._data: bytes | None = b""

    def write(self, data: bytes) -> None:
        """Append."""
        grown = (self._data or b"") + data
        if len(grown) > self._blobs.free():
            self._data = None
            raise StorageFull("no room for a blob")
        self._data = grown

    @contextmanager
    def view(self) -> Generator[memoryview]:
        """Read what was written so far."""
        yield memoryview(self._data or b"")

    def commit(self, expected: Digest | None = None) -> Digest:
        """Name by content, make visible."""
        data, self._data = self._data or b"", None
        digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
        if expected is not None and digest != expected:
            raise Damaged(f"these bytes are {digest}, not {expected}")
        self._blobs.files[digest] = data
        return digest

    def abort(self) -> None:
        """Drop it; safe after commit."""
        self._data = None


def _checked(digest: Digest) -> Digest:
    if DIGEST.fullmatch(digest) is None:
        raise InvalidInput(f"{digest!r} is no digest")
    return digest
