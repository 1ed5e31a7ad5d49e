"""Sweep: blobs that nothing refers to any more are removed from a node's disk, after a while."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio
import msgspec

from littoral.domain.delivery import BlobParts
from littoral.domain.errors import StorageFull
from littoral.domain.ids import Digest
from littoral.domain.node import Store
from littoral.domain.ports import Clock, Disk
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.node.board import Board

KEPT: Final = "blobs/unused.json"
GRACE_US: Final = 24 * 3600 * 1_000_000
"""How long a blob must have been seen unused, at each look, before it is removed."""
EVERY: Final = Seconds(600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepParts:
    """What sweeping needs.

    ``wanted`` are blobs that something refers to now, None while that is not known; ``under_way``
    those that are being fetched.
    """

    parts: BlobParts
    disk: Disk
    clock: Clock
    board: Board
    wanted: Callable[[], frozenset[Digest] | None]
    under_way: Callable[[], frozenset[Digest]]


class Sweep:
    """Marks what is unused, and removes what was for a day.

    Args:
        parts: The world.
    """

    def __init__(self, parts: SweepParts) -> None:
        self._parts = parts
        self._since: dict[Digest, Micros] = self._kept()

    async def run(self) -> None:
        """Look from time to time, until cancelled."""
        while True:
            with suppress(StorageFull, OSError):  # it is looked again
                await self.look()
            await anyio.sleep(EVERY)

    async def look(self) -> tuple[Digest, ...]:
        """Look once; returns what was removed."""
        parts = self._parts
        wanted = parts.wanted()
        if wanted is None:
            return ()
        sizes = await parts.parts.sizes()
        used = wanted | parts.under_way()
        now = parts.clock.wall()
        since = {each: self._since.get(each, now) for each in sizes if each not in used}
        old = sorted(each for each, at in since.items() if now - at >= GRACE_US)
        gone: list[Digest] = []
        for digest in old:
            if digest not in parts.under_way():
                await parts.parts.discard(digest)
                del since[digest]
                gone.append(digest)
        self._show(sizes, since, gone=gone)
        self._note(since)
        return tuple(gone)

    def _note(self, since: Mapping[Digest, Micros]) -> None:
        if since != self._since:
            self._since = dict(since)
            self._parts.disk.write(KEPT, msgspec.json.encode(since))

    def _show(
        self, sizes: Mapping[Digest, Bytes], since: Mapping[Digest, Micros], *, gone: list[Digest]
    ) -> None:
        board = self._parts.board
        freed = sum(sizes[each] for each in gone)
        board.store = Store(
            blobs=len(sizes) - len(gone),
            size=Bytes(sum(sizes.values()) - freed),
            unused=Bytes(sum(sizes[each] for each in since)),
        )
        board.changed.notify()
        if gone:
            names = ", ".join(each[7:19] for each in gone[:8])
            text = f"{len(gone)} unused blobs were removed, {freed} bytes: {names}"
            board.say("delivery", "blobs_removed", text)

    def _kept(self) -> dict[Digest, Micros]:
        try:
            kept = self._parts.disk.read(KEPT) or b"{}"
            return msgspec.json.decode(kept, type=dict[Digest, Micros])
        except msgspec.DecodeError:
            return {}
