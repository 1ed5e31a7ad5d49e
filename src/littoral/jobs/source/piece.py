"""Files as streams of pieces, and the check that they are what was pinned."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import anyio

from littoral.domain.errors import UpstreamFailed
from littoral.domain.model import FileSpec

PIECE = 1024 * 1024


async def file_pieces(path: Path) -> AsyncGenerator[bytes]:
    """Read a file in pieces of 1 MiB, on a worker thread."""
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(PIECE):
            yield piece


async def checked(pieces: AsyncIterator[bytes], file: FileSpec) -> AsyncGenerator[bytes]:
    """Hand pieces on, and refuse them at the end unless size and digest are the pinned ones.

    Raises:
        UpstreamFailed: More or fewer bytes than pinned, or others.
    """
    digest, size = hashlib.sha256(), 0
    async for piece in pieces:
        size += len(piece)
        if file.size is not None and size > file.size:
            raise UpstreamFailed(f"the file has more than the {file.size} bytes expected")
        digest.update(piece)
        yield piece
    if file.size is not None and size != file.size:
        raise UpstreamFailed(f"the file has {size} bytes; {file.size} were expected")
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        raise UpstreamFailed(
            f"the file's sha256 is {digest.hexdigest()}; {file.sha256} was expected"
        )
