"""Archive: every usage record that the ledger took, once more, in columns for whoever looks back.

It follows the ledger by the number of the last line that it has, in the transaction that keeps
the line: nothing is lost or doubled, whatever ends when, and what is damaged is made anew.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from littoral.control.tally import Tally
from littoral.control.worker import Workers
from littoral.domain.chunk import Chunk, ChunkId, ChunkLevel, ChunkStore, Line, Stretch, Taken
from littoral.domain.errors import Damaged, LittoralError
from littoral.domain.ids import NodeId
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Ledger, Sink
from littoral.domain.units import DAY_US, Bytes, Seconds
from littoral.domain.usage import UsageRecord
from littoral.placement import columns
from littoral.placement.history import Priced

EVERY_S: Final = Seconds(60.0)
TOGETHER: Final = 4096
"""Lines of one transaction, and records of one chunk."""
PAGE: Final = Bytes(4 << 20)
"""Bytes of bodies in one answer, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveParts:
    """What an archive needs; ``prices`` are those of all deployments now.

    ``report`` takes what went wrong and is tried again.
    """

    ledger: Ledger
    chunks: ChunkStore
    clock: Clock
    sink: Sink
    workers: Workers
    prices: Callable[[], Awaitable[Mapping[str, Priced]]]
    report: Callable[[str, BaseException], None]
    together: int = TOGETHER
    every_s: Seconds = EVERY_S


class Archive:
    """Keeps the chunks up with the ledger.

    Args:
        parts: The world.

    Attributes:
        tally: Counts what came since the start.
    """

    def __init__(self, parts: ArchiveParts) -> None:
        self._parts = parts
        self._checked = False
        self._is_level = False
        """Whether all that was in the ledger at the start is taken."""
        self.tally = Tally()

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        while True:
            try:
                await self.settle()
            except LittoralError as error:
                self._parts.report("archive", error)
            await anyio.sleep(self._parts.every_s)

    async def settle(self) -> None:
        """Take all that the ledger has; whoever asks then misses nothing."""
        more = True
        while more:
            lines = await self._parts.workers.records(self.take)
            more = len(lines) == self._parts.together
            if lines and self._is_level:
                prices = await self._parts.prices()
                await self._parts.workers.records(partial(self.tally.take, lines, prices))
        self._is_level = True

    async def page(self, wanted: Stretch, after: ChunkId) -> Sequence[Chunk]:
        """Chunks that are wanted, behind one of them, as many as go into an answer."""
        call = partial(self._parts.chunks.chunks, wanted, after=after, most=PAGE)
        return await self._parts.workers.records(call)

    def level(self) -> ChunkLevel:
        """What is kept."""
        return self._parts.chunks.level()

    def take(self) -> Sequence[Line]:
        """Put the ledger's next lines into chunks; returns them."""
        parts = self._parts
        taken = self._taken()
        lines = parts.ledger.since(taken.number, parts.together)
        if lines:
            last = lines[-1]
            here = Taken(number=last.number, request=last.usage.request, attempt=last.usage.attempt)
            parts.chunks.put(
                [each for group in _groups(lines) for each in self._filled(group)],
                here,
                today=parts.clock.wall() // DAY_US,
            )
        return lines

    def _taken(self) -> Taken:
        """How far it is; from the beginning where the ledger is not the one that it was."""
        parts = self._parts
        taken = parts.chunks.taken()
        if self._checked or not taken.number:
            self._checked = True
            return taken
        lines = parts.ledger.since(taken.number - 1, 1)
        same = [
            each
            for each in lines
            if each.number == taken.number
            and (each.usage.request, each.usage.attempt) == (taken.request, taken.attempt)
        ]
        if not same:
            parts.chunks.clear()
        self._checked = True
        if same:
            return taken
        self._tell("records.remade", "the ledger was restored: the columns are made from it anew")
        return Taken()

    def _filled(self, lines: Sequence[Line]) -> Iterable[Chunk]:
        """The chunks of one day, node and model that these lines make, or change."""
        day, node, model = _group_of(lines[0])
        last = self._parts.chunks.last(day, node, model)
        records = [each.usage for each in lines]
        part = 0 if last is None else last.id.part
        if last is not None:
            room = self._parts.together - last.count - len(records)
            old = self._opened(last) if room >= 0 else None
            if old is not None:
                records = [*old, *records]
            else:
                part += 1
        yield chunk_of(ChunkId(day, node, model, part), records)

    def _opened(self, chunk: Chunk) -> Sequence[UsageRecord] | None:
        """The records of a chunk; None where they cannot be read any more."""
        try:
            return columns.records(chunk.body)
        except Damaged as error:
            day, node, model, part = chunk.id
            where = f"day {day}, node {node}, model {model}, part {part}"
            self._tell("records.unreadable", f"{chunk.count} records ({where}): {error.message}")
            return None

    def _tell(self, code: str, message: str) -> None:
        now = self._parts.clock.wall()
        self._parts.sink.emit(
            Event(at_us=now, level="warning", subject="records", code=code, message=message)
        )


def chunk_of(name: ChunkId, records: Sequence[UsageRecord]) -> Chunk:
    """Put records into a chunk; there is at least one."""
    return Chunk(
        id=name,
        first_us=min(each.at_us for each in records),
        last_us=max(each.at_us for each in records),
        count=len(records),
        body=columns.pack(records),
    )


def _group_of(line: Line) -> tuple[int, NodeId, str]:
    return line.usage.at_us // DAY_US, line.node, line.usage.model


def _groups(lines: Sequence[Line]) -> Iterable[Sequence[Line]]:
    found: dict[tuple[int, NodeId, str], list[Line]] = {}
    for each in lines:
        found.setdefault(_group_of(each), []).append(each)
    return found.values()
