"""Downloads in memory, on the loop's time: with a rate, and cuts where a test asks."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import anyio

from littoral.domain.delivery import Answered, Cut

Serve: TypeAlias = Callable[[str, int, int], Awaitable[bytes | int]]
"""Gives the bytes of an address from one place to another, or the status that refuses them."""
PIECE: Final = 64 << 10
PARTIAL: Final = 206


class MemoryDownloads:
    """Twin of ``Downloads``.

    Args:
        serve: Answers each request.
        bytes_s: How fast bytes come; None: at once.

    ``cuts`` are counts of bytes, one for each of the next requests that shall break off after so
    many; ``sent`` are the bytes that were given, by address without its query.
    """

    def __init__(self, serve: Serve, *, bytes_s: float | None = None) -> None:
        self.serve = serve
        self.bytes_s = bytes_s
        self.gentle = 0
        self.cuts: list[int] = []
        self.sent: Counter[str] = Counter()
        self.asked: list[tuple[str, int, int]] = []

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes."""
        self.gentle += gently
        self.asked.append((address, begin, end))
        found = await self.serve(address, begin, end)
        cut = self.cuts.pop(0) if self.cuts else None
        if isinstance(found, int):
            yield Answered(status=found, begin=0, pieces=self._pieces(address, b"", cut=None))
        else:
            yield Answered(
                status=PARTIAL, begin=begin, pieces=self._pieces(address, found, cut=cut)
            )

    async def _pieces(self, address: str, data: bytes, *, cut: int | None) -> AsyncIterator[bytes]:
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            if cut is not None and at + len(piece) > cut:
                piece = piece[: max(0, cut - at)]
            if self.bytes_s is not None:
                await anyio.sleep(len(piece) / self.bytes_s)
            self.sent[address.partition("?")[0]] += len(piece)
            if piece:
                yield piece
            if cut is not None and at + PIECE > cut:
                raise Cut("the line was cut")
