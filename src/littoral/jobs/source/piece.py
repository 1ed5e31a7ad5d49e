"""Files as streams of pieces, and the check that they are what was pinned."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import anyio

from littoral.domain.errors import UpstreamFailed
from littoral.domain.model import VersionSpec

PIECE = 1024 * 1024


async def file_pieces(path: Path) -> AsyncGenerator[bytes]:
    """Read a file in pieces of 1 MiB, on a worker thread."""
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(PIECE):
            yield piece


async def checked(pieces: AsyncIterator[bytes], version: VersionSpec) -> AsyncGenerator[bytes]:
    """Hand pieces on, and refuse them at the end unless size and digest are the pinned ones.

    Raises:
        UpstreamFailed: More or fewer bytes than pinned, or others.
    """
    digest, size = hashlib.sha256(), 0
    async for piece in pieces:
        size += len(piece)
        if version.size is not None and size > version.size:
            raise UpstreamFailed(f"the file has more than the {version.size} bytes expected")
        digest.update(piece)
        yield piece
    if version.size is not None and size != version.size:
        raise UpstreamFailed(f"the file has {size} bytes; {version.size} were expected")
    if version.sha256 is not None and digest.hexdigest() != version.sha256:
        raise UpstreamFailed(
            f"the file's sha256 is {digest.hexdigest()}; {version.sha256} was expected"
        )
