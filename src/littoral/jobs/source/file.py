"""``file:`` a file that the operator has already."""

import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio

from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.model import FileSpec
from littoral.jobs.source.piece import checked, file_pieces


class FileSource:
    """Reads ``file:<absolute path>``; scratch is not used."""

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Callable[[int, int | None], None]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the file as a stream of pieces.

        Raises:
            InvalidInput: The path is not absolute.
            UpstreamFailed: There is no such regular file, or it is not what was pinned.
        """
        del scratch
        path = Path(file.source.removeprefix("file:"))
        if not path.is_absolute():
            raise InvalidInput(
                f"{file.source!r}: the path after 'file:' must be absolute", param="spec.source"
            )
        try:
            found = await anyio.Path(path).stat()
        except OSError as error:
            raise UpstreamFailed(f"{str(path)!r} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise UpstreamFailed(f"{str(path)!r} is not a regular file")
        progress(found.st_size, found.st_size)
        async with aclosing(file_pieces(path)) as raw, aclosing(checked(raw, file)) as pieces:
            yield pieces
