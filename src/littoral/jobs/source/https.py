"""``https:`` a file on the web, fetched in as many parts as the line needs."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, final

import anyio
import httpx2

from littoral.domain.errors import UpstreamFailed
from littoral.domain.model import FileSpec
from littoral.domain.units import Seconds
from littoral.jobs.source.dial import Ask, Dialler
from littoral.jobs.source.piece import checked, file_pieces

Progress: TypeAlias = Callable[[int, int | None], None]

PART, MARK = "download.part", "download.etag"
TRIES = 5
"""Attempts in a row that bring no byte."""


@dataclass(slots=True, kw_only=True)
class Part:
    """What is there of a file so far."""

    path: Path
    mark: Path
    progress: Progress
    limit: int | None
    done: int = 0
    total: int | None = None
    etag: str = ""
    complete: bool = field(default=False)

    def resume(self, *, keep: bool) -> None:
        """Take up what an earlier fetch left, where it may be kept."""
        if keep and self.path.exists():
            self.done = self.path.stat().st_size
            self.etag = self.mark.read_text() if self.mark.exists() else ""
        else:
            self.drop()

    def restart(self) -> None:
        """Begin again from the first byte."""
        self.done = 0
        self.path.write_bytes(b"")

    def drop(self) -> None:
        """Remove what is there."""
        self.done, self.etag = 0, ""
        self.path.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)


@final
class HttpsSource:
    """Fetches ``https://...`` into scratch, resuming by range, and gives it from there.

    What an earlier fetch left is taken up only where the version pins a digest: nothing else
    says that the pieces belong together.

    Args:
        dialler: Makes the connections.
        pause_s: Wait before the second attempt that brought nothing; doubled each time.
    """

    def __init__(self, dialler: Dialler, *, pause_s: Seconds = Seconds(1.0)) -> None:
        self._dialler = dialler
        self._pause_s = pause_s

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Progress
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Fetch the file, then open it as a stream of pieces.

        Raises:
            InvalidInput: The URL is malformed.
            UpstreamFailed: It cannot be reached, or gave something else than was pinned.
        """
        async with self.fetch_url(file.source, file, scratch=scratch, progress=progress) as it:
            yield it

    @asynccontextmanager
    async def fetch_url(
        self,
        url: str,
        file: FileSpec,
        *,
        scratch: str,
        progress: Progress,
        token: str | None = None,
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Fetch another URL than the version's source, as ``fetch`` does."""
        folder = Path(scratch)
        part = Part(path=folder / PART, mark=folder / MARK, progress=progress, limit=file.size)
        part.resume(keep=file.sha256 is not None)
        await self._download(part, url, token=token)
        try:
            async with (
                aclosing(file_pieces(part.path)) as raw,
                aclosing(checked(raw, file)) as pieces,
            ):
                yield pieces
        except UpstreamFailed:
            part.drop()
            raise

    async def _download(self, part: Part, url: str, *, token: str | None) -> None:
        fruitless, why = 0, ""
        while fruitless < TRIES:
            if fruitless:
                await anyio.sleep(self._pause_s * (1 << (fruitless - 1)))
            before = part.done
            try:
                await self._attempt(part, Ask(url=url, headers=_headers(part), token=token))
            except httpx2.HTTPError as error:
                why = type(error).__name__
            else:
                if part.complete:
                    return
                why = "it ended too early"
            fruitless = 0 if part.done > before else fruitless + 1
        raise UpstreamFailed(f"{url!r} cannot be fetched: {why}")

    async def _attempt(self, part: Part, ask: Ask) -> None:
        async with self._dialler.get(ask) as answer:
            _accept(answer, part, url=ask.url)
            part.mark.write_text(part.etag)
            async with await anyio.open_file(part.path, "ab") as file:
                async for piece in answer.aiter_raw():
                    part.done += len(piece)
                    if part.limit is not None and part.done > part.limit:
                        part.drop()
                        raise UpstreamFailed(f"the file has more than {part.limit} bytes")
                    await file.write(piece)
                    part.progress(part.done, part.total)
        part.complete = part.total is None or part.done == part.total


def _headers(part: Part) -> dict[str, str]:
    if not part.done:
        return {}
    resume = {"Range": f"bytes={part.done}-"}
    return resume | {"If-Range": part.etag} if part.etag else resume


def _accept(answer: httpx2.Response, part: Part, *, url: str) -> None:
    """Take the answer's head: where its body begins, and how long the file is."""
    status = answer.status_code
    if status in {408, 429} or status >= 500:
        raise httpx2.RemoteProtocolError(f"status {status}")
    if status == 416 and part.done:
        part.restart()
        raise httpx2.RemoteProtocolError("the range is gone")
    if status not in {200, 206} or "content-encoding" in answer.headers:
        raise UpstreamFailed(f"{url!r} answers with status {status}")
    length = answer.headers.get("content-length", "")
    rest = int(length) if length.isdecimal() else None
    if status == 200 or not _continues(answer.headers.get("content-range", ""), part.done):
        if status == 206:
            part.restart()
            raise httpx2.RemoteProtocolError("another range than the one asked for")
        part.restart()
    part.total = None if rest is None else part.done + rest
    tag = answer.headers.get("etag", "")
    part.etag = "" if tag.startswith("W/") else tag
    if part.limit is not None and part.total not in {None, part.limit}:
        part.drop()
        raise UpstreamFailed(f"the file has {part.total} bytes; {part.limit} were expected")


def _continues(content_range: str, done: int) -> bool:
    return content_range.startswith(f"bytes {done}-")
