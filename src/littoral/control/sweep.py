"""Sweep: blobs of control's store that nothing refers to are removed after a day.

What refers to a blob is on disk, and so is since when it is unused: a crash at any place only means
that the next look goes on. While a version is being fetched nothing goes, for it may turn out to
have bytes that are here already.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import msgspec

from littoral.control.blobs import NodeBlobs
from littoral.control.deltas import PREFIX, Tried
from littoral.control.worker import Workers
from littoral.domain.blob import StoredBlob, StoreView, UnusedBlob
from littoral.domain.errors import LittoralError
from littoral.domain.ids import Digest
from littoral.domain.model import VersionStatus
from littoral.domain.node import Event
from littoral.domain.ports import Blobs, Clock, Sink, State
from littoral.domain.units import Bytes, Micros, Seconds

KEPT: Final = "unused-blobs"
GRACE_US: Final = 24 * 3600 * 1_000_000
"""How long nothing must have referred to a blob, at each look, before it is removed."""
EVERY: Final = Seconds(600.0)
FETCHING: Final = frozenset({"pending", "fetching", "checking"})
NAMED: Final = 8
"""How many removed blobs an event names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepParts:
    """What sweeping asks of control.

    ``statuses`` are all model versions; ``beside`` are blobs that a node needs which shares this
    store, and blocks; ``report`` takes an error and what it interrupted.
    """

    state: State
    blobs: Blobs
    clock: Clock
    workers: Workers
    sink: Sink
    report: Callable[[str, BaseException], None]
    node_blobs: NodeBlobs
    statuses: Callable[[], Iterable[VersionStatus]]
    beside: Callable[[], frozenset[Digest]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uses:
    """Every blob that something refers to; ``fetching`` where more may be found to be."""

    digests: frozenset[Digest]
    fetching: bool


class StoreSweep:
    """Marks what is unused, and removes what was for a day.

    Args:
        parts: See ``SweepParts``.
    """

    def __init__(self, parts: SweepParts) -> None:
        self._parts = parts
        self._one = anyio.Lock()
        self.beside = parts.beside

    async def run(self) -> None:
        """Look from time to time, until cancelled."""
        while True:
            try:
                await self.look()
            except (LittoralError, OSError) as error:
                self._parts.report("looking for unused blobs", error)
            await anyio.sleep(EVERY)

    async def view(self) -> StoreView:
        """What is unused now, and from when on it may go; changes nothing."""
        async with self._one:
            stored, uses = await self._seen()
            return _view(stored, await self._marks(stored, uses), uses)

    async def look(self) -> StoreView:
        """Look once, and remove what may go; the view is that of what is left."""
        async with self._one:
            stored, uses = await self._seen()
            marks = await self._marks(stored, uses)
            now = self._parts.clock.wall()
            old = [] if uses.fetching else [each for each in marks if now - marks[each] >= GRACE_US]
            gone = [each for each in old if await self._remove(each)]
            left = [each for each in stored if each.digest not in gone]
            await self._note({each: at for each, at in marks.items() if each not in gone})
            freed = Bytes(sum(each.size for each in stored) - sum(each.size for each in left))
            self._tell(gone, freed)
            view = _view(left, await self._marks(left, uses), uses)
            return replace(view, removed=tuple(gone), freed=freed)

    async def _seen(self) -> tuple[Sequence[StoredBlob], _Uses]:
        """The blobs first: what comes behind them is not looked at, whatever refers to it."""
        stored = await self._parts.workers.files(self._parts.blobs.stored)
        return stored, await self._uses()

    async def _uses(self) -> _Uses:
        parts = self._parts
        beside = await parts.workers.files(parts.beside)
        statuses = list(parts.statuses())
        made = {each for item in statuses if item.artefact for each in item.artefact.digests}
        pulled = parts.node_blobs.pulls.under_way(parts.clock.now())
        named = frozenset(made | beside | pulled | set(parts.node_blobs.wheels()))
        rows = await parts.workers.state(lambda: parts.state.values(PREFIX))
        kept = {
            tried.offer.digest
            for child, parent, tried in _deltas(rows)
            if tried.kept and {child, parent} <= named
        }
        fetching = any(each.phase in FETCHING for each in statuses)
        return _Uses(digests=named | kept, fetching=fetching)

    async def _marks(self, stored: Sequence[StoredBlob], uses: _Uses) -> Mapping[Digest, Micros]:
        """Since when each unused blob is: at least since it was written."""
        parts = self._parts
        value = await parts.workers.state(lambda: parts.state.value(KEPT))
        since = msgspec.json.decode(value or b"{}", type=dict[Digest, Micros])
        now = parts.clock.wall()
        return {
            each.digest: min(now, max(since.get(each.digest, now), each.written_us))
            for each in stored
            if each.digest not in uses.digests
        }

    async def _note(self, marks: Mapping[Digest, Micros]) -> None:
        state, value = self._parts.state, msgspec.json.encode(marks, order="deterministic")

        def put() -> None:
            if (state.value(KEPT) or b"{}") != value:
                state.put_value(KEPT, value)

        await self._parts.workers.state(put)

    async def _remove(self, digest: Digest) -> bool:
        """Remove a blob, first from what nodes are told; False where it is needed by now."""
        uses = await self._uses()
        if uses.fetching or digest in uses.digests:
            return False
        await self._drop_deltas(digest)
        await self._parts.node_blobs.forget(digest)
        return await self._parts.workers.files(partial(self._parts.blobs.remove, digest))

    async def _drop_deltas(self, digest: Digest) -> None:
        """Forget the deltas that a blob is, or is an end of; later ones are made anew."""
        parts = self._parts
        rows = await parts.workers.state(lambda: parts.state.values(PREFIX))
        for child, parent, tried in _deltas(rows):
            if digest not in {child, parent, tried.offer.digest}:
                continue
            await parts.workers.state(partial(parts.state.put_value, _row(child, parent), None))
            whole = parts.node_blobs.manifest(child)
            if whole is not None:
                others = tuple(each for each in whole.deltas if each.parent != parent)
                await parts.node_blobs.put(replace(whole, deltas=others))

    def _tell(self, gone: Sequence[Digest], freed: Bytes) -> None:
        if not gone:
            return
        names = ", ".join(each[7:19] for each in gone[:NAMED])
        self._parts.sink.emit(
            Event(
                at_us=self._parts.clock.wall(),
                level="info",
                subject="delivery",
                code="blobs_removed",
                message=f"{len(gone)} unused blobs were removed, {freed} bytes: {names}",
            )
        )


def _deltas(rows: Mapping[str, bytes]) -> Iterator[tuple[Digest, Digest, Tried]]:
    """Child, parent and what came of it, of every delta that was made or tried."""
    for name, value in sorted(rows.items()):
        child, _, parent = name.removeprefix(PREFIX).partition("/")
        tried = msgspec.json.decode(value, type=Tried)
        yield Digest(f"sha256:{child}"), Digest(f"sha256:{parent}"), tried


def _row(child: Digest, parent: Digest) -> str:
    return PREFIX + "/".join(each.removeprefix("sha256:") for each in (child, parent))


def _view(stored: Sequence[StoredBlob], marks: Mapping[Digest, Micros], uses: _Uses) -> StoreView:
    return StoreView(
        blobs=len(stored),
        size=Bytes(sum(each.size for each in stored)),
        fetching=uses.fetching,
        unused=tuple(
            UnusedBlob(
                digest=each.digest,
                size=each.size,
                since_us=marks[each.digest],
                until_us=Micros(marks[each.digest] + GRACE_US),
            )
            for each in stored
            if each.digest in marks
        ),
    )
