"""Deltas of versions to their parents: made once, when both are ready, kept if they save much."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import msgspec
from anyio import to_thread

from littoral.control.blobs import NodeBlobs, pieces_of
from littoral.control.check import Specs, Statuses
from littoral.control.worker import Bell, Workers
from littoral.domain.blob import DELTAS_MOST, BlobManifest, DeltaOffer
from littoral.domain.errors import LittoralError, UnknownName
from littoral.domain.ids import Digest
from littoral.domain.model import Artefact, ModelSpec
from littoral.domain.node import Event
from littoral.domain.ports import Blobs, BlobWriter, Clock, Sink, State
from littoral.domain.units import Bytes
from littoral.domain.view import DeltaView
from littoral.trust.blob import measure
from littoral.trust.delta import compare, make

PREFIX: Final = "delta/"
WORTH: Final = 0.8
"""A delta above this share of its blob is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of making a delta; ``kept`` where it is there for nodes."""

    offer: DeltaOffer
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaParts:
    """What making deltas asks of control; ``specs`` and ``statuses`` touch the state."""

    state: State
    blobs: Blobs
    clock: Clock
    workers: Workers
    bell: Bell
    sink: Sink
    node_blobs: NodeBlobs
    specs: Callable[[], Specs]
    statuses: Callable[[], Statuses]


class Deltas:
    """Makes deltas, one at a time.

    Args:
        parts: See ``DeltaParts``.
    """

    def __init__(self, parts: DeltaParts) -> None:
        self._parts = parts
        self._one = anyio.Lock()

    async def run(self) -> None:
        """Make the delta of every version that names its parent, until cancelled."""
        parts = self._parts
        while True:
            heard = parts.bell.count
            specs, statuses = await parts.workers.state(lambda: (parts.specs(), parts.statuses()))
            for parent, child in pairs(specs, statuses):
                try:
                    await self.between(parent, child)
                except (LittoralError, OSError) as error:
                    self._say(f"no delta from {parent.digest} to {child.digest}: {error}")
                    none = DeltaOffer(
                        parent=parent.digest, digest=child.digest, size=child.size, tensors=0
                    )
                    await self._keep(parent, child, Tried(offer=none, kept=False))
            await parts.bell.wait(heard)

    async def of(self, parent: str, child: str) -> DeltaView:
        """The delta between two versions, ``model@version``, made now where it is not there.

        Raises:
            UnknownName: One is not here, or not ready.
            InvalidInput: One is not a GGUF file.
        """
        parts = self._parts
        statuses = await parts.workers.state(parts.statuses)
        old, new = _ready(parent, statuses), _ready(child, statuses)
        here = {*old.digests}
        beside = [file.digest for file in new.files if file.digest not in here]
        if old.digest == new.digest:
            sizes = [
                await parts.workers.files(partial(_size, parts.blobs, each)) for each in beside
            ]
            return DeltaView(parent=parent, child=child, whole=new.size, adapter=Bytes(sum(sizes)))
        tried = await self.between(old, new)
        return DeltaView(
            parent=parent,
            child=child,
            whole=new.size,
            delta=tried.offer.size,
            tensors=tried.offer.tensors,
            kept=tried.kept,
        )

    async def between(self, parent: Artefact, child: Artefact) -> Tried:
        """The delta between two artefacts; the second time only its figures are looked up."""
        parts, name = self._parts, place_of(parent, child)
        async with self._one:
            known = await parts.workers.state(lambda: parts.state.value(name))
            if known is not None:
                return msgspec.json.decode(known, type=Tried)
            tried, manifest = await to_thread.run_sync(
                partial(_made, parts.blobs, parent.digest, child=child)
            )
            if tried.kept:
                await self._publish(tried.offer, manifest, child=child)
            await self._keep(parent, child, tried)
        share = tried.offer.size / max(1, child.size)
        self._say(f"the delta from {parent.digest} to {child.digest} has {share:.1%} of its bytes")
        return tried

    async def _keep(self, parent: Artefact, child: Artefact, tried: Tried) -> None:
        state, value = self._parts.state, msgspec.json.encode(tried)
        put = partial(state.put_value, place_of(parent, child), value)
        await self._parts.workers.state(put)

    async def _publish(self, offer: DeltaOffer, delta: BlobManifest, *, child: Artefact) -> None:
        """Let nodes know of a delta: first the delta's own manifest, then the child's."""
        blobs = self._parts.node_blobs
        await blobs.put(delta)
        whole = blobs.manifest(child.digest)
        if whole is None:
            path = await self._parts.workers.files(partial(self._parts.blobs.path, child.digest))
            pieces = pieces_of(path or "")
            whole = await to_thread.run_sync(partial(measure, pieces, kind="gguf"))
        others = [each for each in whole.deltas if each.parent != offer.parent]
        await blobs.put(replace(whole, deltas=(offer, *others)[:DELTAS_MOST]))

    def _say(self, text: str) -> None:
        self._parts.sink.emit(
            Event(
                at_us=self._parts.clock.wall(),
                level="info",
                subject="delivery",
                code="delta",
                message=text,
            )
        )


def pairs(specs: Specs, statuses: Statuses) -> Iterator[tuple[Artefact, Artefact]]:
    """Parent and child of every version that names a parent, where both are ready GGUF files."""
    for (kind, name), spec in sorted(specs.items(), key=lambda each: each[0]):
        if kind != "Model" or not isinstance(spec, ModelSpec):
            continue
        for version in spec.versions:
            old = _weights(name, version.parent or "", statuses)
            new = _weights(name, version.name, statuses)
            if old and new and old.digest != new.digest:
                yield old, new


def awaits(state: State, digest: Digest, specs: Specs, *, statuses: Statuses) -> bool:
    """Whether a delta that ends in this blob is still to be made; touches the state."""
    wanted = [pair for pair in pairs(specs, statuses) if pair[1].digest == digest]
    return any(state.value(place_of(*pair)) is None for pair in wanted)


def place_of(parent: Artefact, child: Artefact) -> str:
    """Where it is kept what came of making a delta."""
    return PREFIX + "/".join(each.digest.removeprefix("sha256:") for each in (child, parent))


def _weights(model: str, version: str, statuses: Statuses) -> Artefact | None:
    status = statuses.get((model, version))
    artefact = status.artefact if status and status.phase == "ready" else None
    return artefact if artefact and artefact.facts.format == "gguf" else None


def _ready(name: str, statuses: Statuses) -> Artefact:
    model, _, version = name.partition("@")
    status = statuses.get((model, version))
    if status is None or status.artefact is None:
        known = ", ".join(f"{model}@{version}" for model, version in sorted(statuses)) or "none"
        raise UnknownName(f"{name!r} is not here: give model@version; known: {known}")
    return status.artefact


def _made(blobs: Blobs, parent: Digest, *, child: Artefact) -> tuple[Tried, BlobManifest]:
    """Make a delta in a worker thread; it is dropped where it saves little."""
    places = [blobs.path(digest) for digest in (parent, child.digest)]
    if None in places:
        raise UnknownName(f"the weights {parent} or {child.digest} are gone from this disk")
    writer = blobs.writer()
    with Path(places[0] or "").open("rb") as one, Path(places[1] or "").open("rb") as other:
        old, new = (_mapped(file.fileno()) for file in (one, other))
        try:
            tensors = sum(each.how == "xor" for each in compare(old, new))
            digests = (_raw(parent), _raw(child.digest))
            pieces = _written(make(old, new, digests=digests), writer)
            manifest = measure(pieces, kind="delta")
            kept = manifest.size <= WORTH * child.size
            if kept:
                writer.commit(manifest.digest)
        finally:
            writer.abort()
            old.release()
            new.release()
    offer = DeltaOffer(parent=parent, digest=manifest.digest, size=manifest.size, tensors=tensors)
    return Tried(offer=offer, kept=kept), manifest


def _mapped(descriptor: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))


def _written(pieces: Iterator[bytes], writer: BlobWriter) -> Iterator[bytes]:
    for piece in pieces:
        writer.write(piece)
        yield piece


def _raw(digest: Digest) -> bytes:
    return bytes.fromhex(digest.removeprefix("sha256:"))


def _size(blobs: Blobs, digest: Digest) -> int:
    path = blobs.path(digest)
    return 0 if path is None else Path(path).stat().st_size
