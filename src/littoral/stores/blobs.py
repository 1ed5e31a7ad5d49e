"""Content-addressed files in a directory: ``sha256/<2>/<64 hex>``."""

import contextlib
import hashlib
import mmap
import os
import tempfile
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TypeAlias

from littoral.domain.blob import StoredBlob
from littoral.domain.errors import Damaged, InvalidInput, StorageFull
from littoral.domain.ids import DIGEST, Digest
from littoral.domain.ports import BlobWriter, Clock, Failpoints
from littoral.domain.units import Bytes, Micros
from littoral.stores.durable import room_for, sync_folder

STALE_US = 24 * 3600 * 1_000_000
"""A temporary file this old belongs to nobody."""
WATERMARK = Bytes(1024**3)
Seal: TypeAlias = tuple[int, int, int]


def watermark_of(disk: Bytes) -> Bytes:
    """What fetching leaves free of a disk of so many bytes: a tenth, at least 1 GiB."""
    return max(WATERMARK, Bytes(disk // 10))


class DiskBlobs:
    """Adapter of ``Blobs``: blocking, for worker threads.

    Args:
        root: Its directory; everything in it is private to this user.
        clock: Names what is set aside, and ages what was left behind.
        failpoints: ``blob.renamed`` stands between a blob's new name and its sync.
        watermark: Bytes that stay free on the disk.
    """

    def __init__(
        self,
        root: str,
        *,
        clock: Clock,
        failpoints: Failpoints,
        watermark: Bytes = WATERMARK,
    ) -> None:
        self._root = Path(root)
        self._clock = clock
        self._failpoints = failpoints
        self._watermark = watermark
        self._seals: dict[Digest, Seal] = {}
        self._checking = threading.Lock()

    def path(self, digest: Digest) -> str | None:
        """Local path of a blob that is present and whole, else None.

        Its whole content is checked on the first use in this process, and again when size, time or
        inode changed; a damaged one is moved to ``quarantine``.
        """
        target = self.place(digest)
        with self._checking:
            try:
                seal = _seal(target)
            except FileNotFoundError:
                return None
            if self._seals.get(digest) != seal and not self._check(digest, target, seal):
                return None
            return str(target)

    def writer(self) -> BlobWriter:
        """Begin a new blob."""
        if self.free() == 0:
            raise StorageFull(
                f"less than {self._watermark} bytes are free on the disk of {str(self._root)!r}"
            )
        with room_for("a blob"):
            folder = self._folder("tmp")
            self._sweep(folder)
            return _Writer(self, folder)

    def list(self) -> Sequence[Digest]:
        """All blobs present, in order."""
        names = sorted(path.name for path in (self._root / "sha256").glob("??/*"))
        digests = [Digest(f"sha256:{name}") for name in names]
        return [digest for digest in digests if DIGEST.fullmatch(digest)]

    def stored(self) -> Sequence[StoredBlob]:
        """All blobs present, in order; none of them is read."""
        found: list[StoredBlob] = []
        for digest in self.list():
            with contextlib.suppress(FileNotFoundError):
                status = self.place(digest).stat()
                written_us = Micros(status.st_mtime_ns // 1000)
                size = Bytes(status.st_size)
                found.append(StoredBlob(digest=digest, size=size, written_us=written_us))
        return found

    def remove(self, digest: Digest) -> bool:
        """Remove a blob; False where there was none."""
        target = self.place(digest)
        with room_for("the names of blobs"):
            try:
                target.unlink()
            except FileNotFoundError:
                return False
            sync_folder(str(target.parent))
        return True

    def free(self) -> Bytes:
        """Bytes that may still be written before the watermark."""
        place = self._root
        while not place.exists():
            place = place.parent
        disk = os.statvfs(place)
        return Bytes(max(0, disk.f_bavail * disk.f_frsize - self._watermark))

    def verify(self, digest: Digest) -> bool:
        """Read the whole blob and compare its digest; False where it is absent or damaged."""
        with self._checking:
            self._seals.pop(digest, None)
        return self.path(digest) is not None

    def adopt(self, temporary: Path, digest: Digest) -> None:
        """Give a synced temporary file its name; called by a writer."""
        target = self.place(digest)
        with room_for("a blob"):
            self._folder("sha256", target.parent.name)
            temporary.replace(target)
            self._failpoints.hit("blob.renamed")
            sync_folder(str(target.parent))

    def _check(self, digest: Digest, target: Path, seal: Seal) -> bool:
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == target.name:
            self._seals[digest] = seal
            return True
        aside = self._folder("quarantine") / f"{target.name}.{self._clock.wall()}"
        target.rename(aside)
        sync_folder(str(target.parent))
        return False

    def place(self, digest: Digest) -> Path:
        """Where a blob is, or would be."""
        if DIGEST.fullmatch(digest) is None:
            raise InvalidInput(f"{digest!r} is no digest: sha256: and 64 hexadecimal digits")
        name = digest.removeprefix("sha256:")
        return self._root / "sha256" / name[:2] / name

    def _folder(self, *names: str) -> Path:
        folder = self._root
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            if not (folder / name).is_dir():
                (folder / name).mkdir(mode=0o700, exist_ok=True)
                sync_folder(str(folder))
            folder /= name
        return folder

    def _sweep(self, folder: Path) -> None:
        oldest = self._clock.wall() - STALE_US
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns // 1000 < oldest:
                    path.unlink()


class _Writer:
    """A blob under way in a temporary file of the same file system."""

    def __init__(self, blobs: DiskBlobs, folder: Path) -> None:
        self._blobs = blobs
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._path = Path(name)
        self._file = os.fdopen(descriptor, "wb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append."""
        try:
            with room_for("a blob"):
                self._file.write(data)
        except StorageFull:
            self.abort()
            raise
        self._hash.update(data)

    @contextlib.contextmanager
    def view(self) -> Generator[memoryview]:
        """Read what was written so far, mapped into memory."""
        self._file.flush()
        if not self._path.stat().st_size:
            yield memoryview(b"")
            return
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            yield view

    def commit(self, expected: Digest | None = None) -> Digest:
        """Sync, name by content, make visible."""
        digest = Digest(f"sha256:{self._hash.hexdigest()}")
        try:
            if expected is not None and digest != expected:
                raise Damaged(f"these bytes are {digest}, not {expected}")
            with room_for("a blob"):
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            self._blobs.adopt(self._path, digest)
        finally:
            self.abort()
        return digest

    def abort(self) -> None:
        """Drop it; safe after commit."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _seal(path: Path) -> Seal:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
