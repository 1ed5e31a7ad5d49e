"""Making a blob from its parent and a delta, without more memory than a piece of it."""

import mmap
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from anyio import to_thread

from littoral.domain.blob import BlobManifest, DeltaOffer
from littoral.domain.errors import Damaged
from littoral.domain.ports import Blobs
from littoral.trust.delta import PIECE, apply, read_head

SPARE: Final = 1.1


class Rebuilder:
    """Applies deltas.

    Args:
        blobs: Has the parent, and takes the result.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def rebuild(self, delta: DeltaOffer, path: str, manifest: BlobManifest) -> bool:
        """Make the blob of a manifest; False where its parent is gone, or the disk has no room.

        Args:
            delta: What is at ``path``, and of which parent.
            path: The delta.
            manifest: What the result must be.

        Raises:
            Damaged: The delta does not give that blob.
        """
        return await to_thread.run_sync(partial(self._rebuild, delta, path, manifest=manifest))

    def _rebuild(self, delta: DeltaOffer, path: str, *, manifest: BlobManifest) -> bool:
        parent = self._blobs.path(delta.parent)
        if parent is None or self._blobs.free() < manifest.size * SPARE:
            return False
        with mapped(parent) as old, mapped(path) as packed:
            head, begin = read_head(packed, parent_size=len(old), most=manifest.size)
            if f"sha256:{head.parent.hex()}" != delta.parent:
                raise Damaged(f"the delta {delta.digest} is of another parent")
            pieces = (bytes(packed[at : at + PIECE]) for at in range(begin, len(packed), PIECE))
            writer = self._blobs.writer()
            try:
                for piece in apply(head, old, pieces):
                    writer.write(piece)
                writer.commit(manifest.digest)
            finally:
                writer.abort()
        return True


@contextmanager
def mapped(path: str) -> Generator[memoryview]:
    """A file as memory; an empty one is no memory."""
    with Path(path).open("rb") as file:
        if not file.seek(0, 2):
            yield memoryview(b"")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found:
            view = memoryview(found)
            try:
                yield view
            finally:
                view.release()
