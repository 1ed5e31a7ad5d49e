"""Fetch: one blob from whoever has it, chunk by chunk, byte-exact over cuts.

Every chunk is checked alone, so a source needs no trust. It fails for want of progress, never for
the time it takes as a whole.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from littoral.domain.blob import BlobManifest, BlobSource
from littoral.domain.delivery import Answered, BlobPart, BlobParts, Cut, Downloads
from littoral.domain.errors import StorageFull, UpstreamFailed
from littoral.domain.ports import Chance, Clock
from littoral.domain.units import Bytes, Seconds
from littoral.node.backoff import delay
from littoral.node.pacer import Pacer

PROGRESS_S: Final = Seconds(60.0)
"""No byte for so long: the fetch fails, and what is there stays."""
STRIKES: Final = 2
"""Wrong answers after which a source is left alone."""
SPARE: Final = 1.1
"""BlobPart of a blob's missing bytes that must be free on the disk before the first one comes."""
AT_ONCE: Final = Seconds(0.02)
RETRY_CAP: Final = Seconds(10.0)
GONE: Final = frozenset({403, 404, 410})
PARTIAL: Final = 206
NOT_YET: Final = 416
BUSY: Final = frozenset({408, NOT_YET, 429, 500, 502, 503, 504})
"""Not now: 416 of a peer that does not have so much yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchParts:
    """What a fetch asks of the world.

    ``sources`` says who has the blob now, best first; with True, what was known is out of date.
    ``told`` is called with the bytes that are verified.
    """

    parts: BlobParts
    downloads: Downloads
    clock: Clock
    chance: Chance
    pacer: Pacer
    sources: Callable[[bool], Awaitable[Sequence[BlobSource]]]
    told: Callable[[Bytes], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Fetch:
    """One blob under way.

    Args:
        manifest: What its bytes are; its signature was checked.
        world: See ``FetchParts``.
    """

    manifest: BlobManifest
    world: FetchParts
    wasted: int = 0
    """Bytes that came and were of no use."""
    done: Bytes = Bytes(0)
    """How many bytes are here and verified."""
    part: BlobPart | None = None
    _strikes: dict[str, int] = field(default_factory=dict[str, int])
    _moved: Seconds = Seconds(0.0)
    _stale: bool = False
    _streak: int = 0
    _avoid: str = ""

    async def run(self) -> None:
        """Bring the blob here.

        Raises:
            StorageFull: There is no room for it; nothing was asked for.
            UpstreamFailed: No byte came for 60 s, or every source sends wrong bytes.
            Damaged: The chunks are not the blob that the manifest names.
        """
        world = self.world
        self.part = part = await world.parts.open(self.manifest)
        self.done = self._there(part)
        try:
            await self._check_room()
            self._moved = world.clock.now()
            while (index := self._missing(part)) is not None:
                await self._step(part, index)
            await part.commit()
        finally:
            with anyio.CancelScope(shield=True):
                await part.close()
            self.part = None

    def _there(self, part: BlobPart) -> Bytes:
        """What came before: counted once, and on from there with each chunk."""
        manifest = self.manifest
        there = (each for each in range(len(manifest.chunks)) if part.has(each))
        return Bytes(sum(manifest.length(each) for each in there))

    async def _check_room(self) -> None:
        missing = self.manifest.size - self.done
        free = await self.world.parts.free()
        needed = round(missing * SPARE)
        if missing and needed > free:
            raise StorageFull(f"{self.manifest.digest} needs {needed} bytes more; {free} are free")

    def _missing(self, part: BlobPart) -> int | None:
        chunks = range(len(self.manifest.chunks))
        return next((index for index in chunks if not part.has(index)), None)

    async def _step(self, part: BlobPart, index: int) -> None:
        """Ask one source for what is missing from a chunk on."""
        world = self.world
        source = self._best(await self._sources())
        if source is not None and source.wan and not world.pacer.is_open:
            await world.pacer.opened()
            self._moved, self._stale = world.clock.now(), True
            return
        try:
            if source is not None:
                await self._stream(part, index, source)
            else:
                await self._pause("nobody has it now")
        except Cut as cut:
            self._avoid = "" if source is None else source.name
            await self._pause(str(cut))

    async def _sources(self) -> Sequence[BlobSource]:
        stale, self._stale = self._stale, False
        return await self.world.sources(stale)

    def _best(self, sources: Sequence[BlobSource]) -> BlobSource | None:
        good = [each for each in sources if self._strikes.get(each.name, 0) < STRIKES]
        if sources and not good:
            raise UpstreamFailed(f"every source of {self.manifest.digest} sends something else")
        return min(
            good,
            key=lambda each: (self._strikes.get(each.name, 0), each.name == self._avoid),
            default=None,
        )

    async def _pause(self, why: str) -> None:
        """Wait before the next try, or give up; a cut behind progress costs no long wait."""
        world = self.world
        silent = world.clock.now() - self._moved
        if silent >= PROGRESS_S:
            raise UpstreamFailed(f"{self.manifest.digest}: no byte for {silent:.0f} s: {why}")
        wait = AT_ONCE
        if self._streak:
            more = delay(self._streak - 1, cap_s=RETRY_CAP, chance=world.chance)
            wait = Seconds(wait + more)
        self._streak += 1
        await anyio.sleep(min(wait, max(0.0, PROGRESS_S - silent)))

    async def _stream(self, part: BlobPart, index: int, source: BlobSource) -> None:
        """Read from one source until it ends, breaks off, or shows to be wrong."""
        manifest = self.manifest
        last = index
        while last + 1 < len(manifest.chunks) and not part.has(last + 1):
            last += 1
        begin = manifest.begin(index) + await part.filled(index)
        end = manifest.begin(last) + manifest.length(last)
        gently = source.wan and self.world.pacer.is_capped
        get = self.world.downloads.get(source.address, begin=begin, end=end, gently=gently)
        async with get as answer:
            self._judge(answer, source, begin=begin)
            async for piece in answer.pieces:
                self._moved, self._streak = self.world.clock.now(), 0
                index = await self._take(part, index, piece)
                if index < 0:
                    self._strike(source, f"a chunk of {source.name} is not what was signed")
                if source.wan:
                    await self.world.pacer.took(len(piece))
                if index >= len(manifest.chunks) or part.has(index):
                    return
        raise Cut(f"{source.name} ended too early")

    async def _take(self, part: BlobPart, index: int, piece: bytes) -> int:
        """Write a piece where its chunk stands; the chunk to go on with, -1 after a bad one."""
        manifest, chunks = self.manifest, len(self.manifest.chunks)
        while piece:
            if index >= chunks or part.has(index):
                self.wasted += len(piece)
                return index
            filled = await part.filled(index)
            room = manifest.length(index) - filled
            await part.write(index, piece[:room])
            if len(piece) < room:
                return index
            piece = piece[room:]
            if not await part.seal(index):
                self.wasted += manifest.length(index) + len(piece)
                return -1
            self.done = Bytes(self.done + manifest.length(index))
            await self.world.told(self.done)
            index += 1
        return index

    def _judge(self, answer: Answered, source: BlobSource, *, begin: int) -> None:
        """Refuse an answer that is not the range that was asked for."""
        if answer.status == PARTIAL and answer.begin == begin:
            return
        if answer.status == NOT_YET and not source.wan:
            self._moved = self.world.clock.now()  # it lives, and control sees how far it is
            self._stale = True
        if answer.status in BUSY:
            raise Cut(f"{source.name} answers {answer.status}")
        if answer.status in GONE:
            self._stale = True
            raise Cut(f"{source.name} answers {answer.status}")
        self._strike(source, f"{source.name} answers {answer.status}, not the range asked for")

    def _strike(self, source: BlobSource, why: str) -> None:
        self._strikes[source.name] = self._strikes.get(source.name, 0) + 1
        raise Cut(why)
