"""Artefacts: blobs that a node's engines need, brought here from peers or control.

One fetch a blob, however many wait for it. What was verified stays through cuts and restarts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from littoral.domain.blob import (
    BlobAsk,
    BlobManifest,
    BlobOffer,
    BlobProgress,
    BlobsHeld,
    BlobSource,
    DeltaOffer,
)
from littoral.domain.delivery import BlobParts, Downloads
from littoral.domain.errors import LittoralError, UpstreamFailed
from littoral.domain.ids import Digest, NodeId
from littoral.domain.pace import ALWAYS
from littoral.domain.ports import Chance, ChannelClosed, Clock, Failpoints
from littoral.domain.session import Frame
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.node.board import Board
from littoral.node.fetch import Fetch, FetchParts
from littoral.node.pacer import Pacer
from littoral.node.signal import Signal
from littoral.trust.blob import accept

OFFER_WITHIN: Final = Seconds(20.0)
TELL_S: Final = Seconds(2.0)
"""How often control is told of progress, so that it leaves the pull to us."""
Rebuild = Callable[[DeltaOffer, str, BlobManifest], Awaitable[bool]]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactParts:
    """What getting artefacts asks of the world.

    ``post`` sends a frame to control and raises ``ChannelClosed`` without a session; ``keys`` are
    the public keys that may sign manifests; ``rebuild`` makes a blob from its parent and the delta
    at a path, and says whether it is the one of the manifest; ``local`` is the minute of the day at
    the site; ``address`` is where peers ask, empty where they cannot, ``near`` whom of them this
    node can ask now, None where it does not know.
    """

    parts: BlobParts
    downloads: Downloads
    post: Callable[[Frame], Awaitable[None]]
    keys: Callable[[], Mapping[str, bytes]]
    rebuild: Rebuild
    local: Callable[[Micros], int]
    clock: Clock
    chance: Chance
    failpoints: Failpoints
    board: Board
    address: str = ""
    near: Callable[[], Awaitable[tuple[NodeId, ...]]] | None = None


@dataclass(slots=True, eq=False)
class _Job:
    """One blob under way, and how it ended."""

    digest: Digest
    ended: anyio.Event
    changed: Signal
    fetch: Fetch | None = None
    offer: BlobOffer | None = None
    asked: Seconds = Seconds(-1e9)
    told: Seconds = Seconds(-1e9)
    error: LittoralError | None = None
    by: str = "whole"
    heard: Signal = field(default_factory=Signal)


class Artefacts:
    """Brings blobs to this node.

    Args:
        world: See ``ArtefactParts``.
    """

    def __init__(self, world: ArtefactParts) -> None:
        self._world = world
        self._jobs: dict[Digest, _Job] = {}
        self._wanted = Signal()
        self._pace = ALWAYS
        self._pacer = Pacer(lambda: self._pace, clock=world.clock, local=world.local)
        self._begun: set[Digest] = set()
        self._held: tuple[Digest, ...] | None = None

    @property
    def parts(self) -> BlobParts:
        """The blobs on this node's disk."""
        return self._world.parts

    @property
    def under_way(self) -> frozenset[Digest]:
        """Blobs that are being fetched."""
        return frozenset(self._jobs)

    async def run(self) -> None:
        """Fetch what is located, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                for digest, job in list(self._jobs.items()):
                    if digest not in self._begun:
                        self._begun.add(digest)
                        group.start_soon(self._work, job)
                await self._wanted.wait()

    async def locate(self, digest: Digest, tell: Tell) -> str | None:
        """Path of a blob; where it is not here, wait until it is.

        Args:
            digest: Which blob.
            tell: Called with how far it is, for people.

        Raises:
            LittoralError: It cannot be had now; what came stays for the next try.
        """
        path = await self._world.parts.located(digest)
        if path is not None:
            return path
        job = self._jobs.get(digest)
        if job is None:
            job = self._jobs[digest] = _Job(digest, anyio.Event(), Signal())
            self._wanted.notify()
        while not job.ended.is_set():
            if job.fetch is not None:
                tell(_progress(job.fetch))
            await job.changed.wait(at_most_s=TELL_S)
        if job.error is not None:
            raise job.error
        return await self._world.parts.located(digest)

    def offered(self, offer: BlobOffer) -> None:
        """Take control's answer."""
        self._pace = offer.pace
        job = self._jobs.get(offer.digest)
        if job is not None:
            job.offer = offer
            job.heard.notify()

    async def connected(self) -> None:
        """A session began: say what is here."""
        self._held = None
        for job in self._jobs.values():
            job.asked = Seconds(-1e9)
        await self._say_held()

    async def piece(self, digest: Digest, begin: int, most: int) -> bytes | None:
        """Verified bytes of a blob from ``begin`` on, for a peer; None where they are not here."""
        whole = await self._world.parts.read(digest, begin, most)
        if whole is not None:
            return whole
        job = self._jobs.get(digest)
        fetch = job.fetch if job is not None else None
        if fetch is None or fetch.part is None or not 0 <= begin < fetch.manifest.size:
            return None
        index = begin // fetch.manifest.chunk
        data = await fetch.part.read(index)
        return None if data is None else data[begin - fetch.manifest.begin(index) :][:most]

    async def _work(self, job: _Job) -> None:
        world = self._world
        began = world.clock.now()
        try:
            manifest = await self._manifest(job)
            await self._get(job, manifest)
        except LittoralError as error:
            job.error = error
            world.board.say("delivery", "blob_failed", error.message, level="warning")
        else:
            took = world.clock.now() - began
            text = f"{job.digest} is here after {took:.0f} s ({job.by})"
            world.board.say("delivery", "blob_here", text)
        finally:
            self._begun.discard(job.digest)
            self._jobs.pop(job.digest, None)
            job.ended.set()
            job.changed.notify()
        await self._post(BlobProgress(digest=job.digest, done=Bytes(0), ended=True))
        await self._say_held()

    async def _get(self, job: _Job, manifest: BlobManifest) -> None:
        """Bring it the smallest way that works."""
        for delta in await self._deltas(manifest):
            if await self._rebuilt(job, delta, manifest):
                job.by = f"a delta of {delta.size} bytes"
                return
        await self._fetched(job, manifest)

    async def _deltas(self, manifest: BlobManifest) -> Sequence[DeltaOffer]:
        parts = self._world.parts
        if manifest.digest in await parts.list():
            return ()
        here = [each for each in manifest.deltas if await parts.located(each.parent)]
        smaller = [each for each in here if each.size < manifest.size]
        return sorted(smaller, key=lambda each: each.size)

    async def _rebuilt(self, job: _Job, delta: DeltaOffer, manifest: BlobManifest) -> bool:
        world = self._world
        try:
            path = await self.locate(delta.digest, lambda _text: None)
            good = path is not None and await world.rebuild(delta, path, manifest)
            world.failpoints.hit("delta.verified")
        except LittoralError as error:
            text = f"the delta to {job.digest} is of no use, all of it comes: {error.message}"
            world.board.say("delivery", "delta_failed", text, level="warning")
            return False
        return good

    async def _fetched(self, job: _Job, manifest: BlobManifest) -> None:
        world = self._world

        async def sources(stale: bool) -> Sequence[BlobSource]:  # noqa: FBT001  a callback of one flag
            return (await self._offer(job, stale=stale)).sources

        async def told(done: Bytes) -> None:
            job.changed.notify()
            if world.clock.now() - job.told >= TELL_S:
                job.told = world.clock.now()
                await self._post(BlobProgress(digest=job.digest, done=done))

        job.fetch = Fetch(
            manifest=manifest,
            world=FetchParts(
                parts=world.parts,
                downloads=world.downloads,
                clock=world.clock,
                chance=world.chance,
                pacer=self._pacer,
                sources=sources,
                told=told,
            ),
        )
        await job.fetch.run()

    async def _manifest(self, job: _Job) -> BlobManifest:
        """Control's manifest, checked; waits while control still makes it."""
        world = self._world
        end = world.clock.now() + 3 * OFFER_WITHIN
        while True:
            offer = await self._offer(job, stale=False)
            if offer.signed is not None:
                return accept(offer.signed, digest=job.digest, keys=world.keys())
            if not offer.again_s or world.clock.now() >= end:
                raise UpstreamFailed(offer.error or f"control has no {job.digest}")
            await anyio.sleep(offer.again_s)

    async def _offer(self, job: _Job, *, stale: bool) -> BlobOffer:
        """What control last said of a blob, asked again when that is out of date."""
        clock = self._world.clock
        offer = job.offer
        age = clock.now() - job.asked
        if offer is not None and not stale and (not offer.again_s or age < offer.again_s):
            return offer
        job.asked = clock.now()
        try:
            near = self._world.near
            reach = None if near is None else await near()
            await self._world.post(BlobAsk(digest=job.digest, reach=reach))
            await self._heard(job, offer)
        except ChannelClosed:
            pass
        if job.offer is None:
            raise UpstreamFailed(f"control cannot be asked for {job.digest}: try again later")
        return job.offer

    async def _heard(self, job: _Job, before: BlobOffer | None) -> None:
        end = self._world.clock.now() + OFFER_WITHIN
        while job.offer is before:
            left = end - self._world.clock.now()
            if left <= 0 or not await job.heard.wait(at_most_s=left):
                return

    async def _say_held(self) -> None:
        """Tell control what peers may get here, where that changed."""
        world = self._world
        if not world.address:
            return
        held = tuple(sorted({*await world.parts.whole(), *self._jobs}))
        if held != self._held:
            self._held = held
            await self._post(BlobsHeld(address=world.address, digests=held))

    async def _post(self, frame: Frame) -> None:
        try:
            await self._world.post(frame)
        except ChannelClosed:
            return  # control hears of it with the next session


def _progress(fetch: Fetch) -> str:
    done, size = fetch.done, fetch.manifest.size
    return f"fetching: {done / 1e6:.1f} of {size / 1e6:.1f} MB"
