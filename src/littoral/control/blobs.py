"""Blobs for nodes: each measured and signed once, and who may be asked for it now."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import msgspec

from littoral.control.event import Events
from littoral.control.pulls import Pulls
from littoral.control.worker import Bell, Workers
from littoral.domain.blob import (
    BlobAsk,
    BlobKind,
    BlobManifest,
    BlobOffer,
    BlobProgress,
    BlobsHeld,
    BlobSource,
)
from littoral.domain.errors import LittoralError
from littoral.domain.ids import Digest, NodeId
from littoral.domain.model import VersionStatus
from littoral.domain.node import Event
from littoral.domain.pace import PacePolicy
from littoral.domain.ports import Blobs, Channel, Clock, State
from littoral.domain.units import Micros, Seconds
from littoral.trust.blob import measure, sign
from littoral.trust.capability import LIFE_US, grant

PREFIX: Final = "blob/"
PIECE: Final = 1 << 20
SOON: Final = Seconds(2.0)
"""When a node asks again for a blob that is not measured yet, or that a peer pulls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobParts:
    """What serving blobs asks of control.

    ``seed`` makes the key that signs now; ``url`` is where nodes reach the public listener, empty
    without one; ``url_key`` makes addresses good; ``statuses`` are all model versions; ``sites``
    gives the site of every connected node, ``pace`` what a site allows, ``awaits``
    whether a delta of a blob is still to be made; both touch the state.
    """

    state: State
    blobs: Blobs
    clock: Clock
    workers: Workers
    bell: Bell
    sink: Events
    seed: Callable[[], bytes]
    url: str
    url_key: bytes
    statuses: Callable[[], Iterable[VersionStatus]]
    sites: Callable[[], Mapping[NodeId, str]]
    pace: Callable[[str], PacePolicy]
    awaits: Callable[[Digest], bool]


class NodeBlobs:
    """Answers nodes that ask for blobs.

    Args:
        parts: See ``BlobParts``.
    """

    def __init__(self, parts: BlobParts) -> None:
        self._parts = parts
        self._known: dict[Digest, BlobManifest] = {}
        self.pulls = Pulls()
        self.wheels: Callable[[], Iterable[Digest]] = tuple
        """Wheels of every release; set once there are releases to ask."""

    async def run(self) -> None:
        """Measure every blob that nodes may need, as it comes, until cancelled.

        Without an address for nodes none is: the node beside control shares its disk.
        """
        parts = self._parts
        kept = await parts.workers.state(lambda: parts.state.values(PREFIX))
        for value in kept.values():
            manifest = msgspec.json.decode(value, type=BlobManifest)
            self._known[manifest.digest] = manifest
        while True:
            heard = parts.bell.count
            for digest, kind in sorted(self._needed().items()):
                if parts.url and digest not in self._known:
                    await self._measure(digest, kind)
            await parts.bell.wait(heard)

    @property
    def seed(self) -> bytes:
        """What makes the key that signs now."""
        return self._parts.seed()

    def manifest(self, digest: Digest) -> BlobManifest | None:
        """What is known of a blob; None while it is not measured."""
        return self._known.get(digest)

    async def put(self, manifest: BlobManifest) -> None:
        """Know a blob from now on, or know more of it."""
        parts, value = self._parts, msgspec.json.encode(manifest)
        name = PREFIX + manifest.digest.removeprefix("sha256:")
        await parts.workers.state(partial(parts.state.put_value, name, value))
        self._known[manifest.digest] = manifest

    async def forget(self, digest: Digest) -> None:
        """Know a blob no longer: it is about to be removed."""
        name = PREFIX + digest.removeprefix("sha256:")
        await self._parts.workers.state(partial(self._parts.state.put_value, name, None))
        self._known.pop(digest, None)

    async def answer(self, node: NodeId, ask: BlobAsk) -> BlobOffer:
        """Say what a blob is and who has it, for a node that asks."""
        parts, digest = self._parts, ask.digest
        manifest = self._known.get(digest)
        if manifest is not None and await parts.workers.state(partial(parts.awaits, digest)):
            return BlobOffer(digest=digest, error=f"{digest} is being compared", again_s=SOON)
        if manifest is None:
            known = digest in self._needed()
            error = f"{digest} is being measured" if known else f"control has no blob {digest:.80}"
            return BlobOffer(digest=digest, error=error, again_s=SOON if known else Seconds(0.0))
        sites = parts.sites()
        turn = self.pulls.turn(digest, node, sites=sites, now=parts.clock.now(), reach=ask.reach)
        sources = [
            BlobSource(name=peer, address=f"{address}/node/v1/blobs/{digest}", wan=False)
            for peer, address in turn.peers
        ]
        if turn.pulls and parts.url:
            sources.append(BlobSource(name="control", address=self.url_of(digest)))
        pace = await parts.workers.state(partial(parts.pace, sites.get(node, "")))
        error = "" if sources else "control has no address for nodes: set nodes_listen"
        return BlobOffer(
            digest=digest,
            signed=sign(manifest, seed=parts.seed()),
            sources=tuple(sources),
            again_s=SOON if not turn.pulls else Seconds(LIFE_US / 2e6),
            error=error,
            pace=pace,
        )

    def url_of(self, digest: Digest) -> str:
        """An address of a blob that is good for an hour."""
        parts = self._parts
        until = Micros(parts.clock.wall() + LIFE_US)
        query = grant(digest, until_us=until, key=parts.url_key)
        return f"{parts.url}/node/v1/blobs/{digest}?{query}"

    async def heard(
        self, node: NodeId, frame: BlobAsk | BlobProgress | BlobsHeld, *, channel: Channel
    ) -> None:
        """Take what a node says of blobs, and answer on its channel what it asks."""
        match frame:
            case BlobAsk():
                await channel.send(await self.answer(node, frame))
            case BlobProgress():
                self.progress(node, frame)
            case BlobsHeld():
                self.held(node, frame)

    def progress(self, node: NodeId, said: BlobProgress) -> None:
        """A node is further, or has ended."""
        now = self._parts.clock.now()
        self.pulls.progress(said.digest, node, done=said.done, ended=said.ended, now=now)

    def held(self, node: NodeId, said: BlobsHeld) -> None:
        """A node has blobs for its peers."""
        self.pulls.held(node, address=said.address, digests=said.digests)

    def _needed(self) -> Mapping[Digest, BlobKind]:
        """Every blob of a version that is ready, and every wheel of a release."""
        found: dict[Digest, BlobKind] = dict.fromkeys(self.wheels(), "wheel")
        for status in self._parts.statuses():
            if status.artefact is None or status.phase != "ready":
                continue
            found[status.artefact.digest] = status.artefact.facts.format
            for file in status.artefact.files:
                found[file.digest] = "lora" if file.name.endswith(".gguf") else "other"
        return found

    async def _measure(self, digest: Digest, kind: BlobKind) -> None:
        parts = self._parts
        try:
            path = await parts.workers.files(partial(parts.blobs.path, digest))
            if path is None:
                return
            await self.put(await anyio.to_thread.run_sync(partial(_measured, path, kind)))
        except (LittoralError, OSError) as error:
            parts.sink.emit(
                Event(
                    at_us=parts.clock.wall(),
                    level="error",
                    subject="delivery",
                    code="blob.unmeasured",
                    message=f"{digest} cannot be delivered to nodes: {error}",
                )
            )


def _measured(path: str, kind: BlobKind) -> BlobManifest:
    return measure(pieces_of(path), kind=kind)


def pieces_of(path: str) -> Generator[bytes]:
    """Read a file in pieces of 1 MiB; blocks."""
    with Path(path).open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
