"""A store of chunks in memory."""

from collections.abc import Sequence

from littoral.domain.chunk import Chunk, ChunkId, ChunkLevel, Stretch, Taken
from littoral.domain.ids import NodeId
from littoral.domain.units import Bytes


class MemoryChunks:
    """Twin of ``ChunkStore``.

    Args:
        days: Days that are kept.
        most: Bytes that are kept.
    """

    def __init__(self, *, days: int = 400, most: Bytes = Bytes(512 << 20)) -> None:
        self._days = days
        self._most = most
        self._chunks: dict[ChunkId, Chunk] = {}
        self._taken = Taken()

    def taken(self) -> Taken:
        """How far the ledger's lines are in chunks."""
        return self._taken

    def put(self, chunks: Sequence[Chunk], taken: Taken, *, today: int) -> None:
        """Keep chunks, each in place of the one of its name, and move on."""
        self._chunks |= {each.id: each for each in chunks}
        self._taken = taken
        latest = max((each.day for each in self._chunks), default=0)
        oldest, whole = min(latest, today) - self._days, 0
        for day in sorted({each.day for each in self._chunks}, reverse=True):
            whole += sum(len(each.body) for each in self._chunks.values() if each.id.day == day)
            if day <= oldest or (whole > self._most and day < latest):
                self._chunks = {name: c for name, c in self._chunks.items() if name.day > day}
                return

    def last(self, day: int, node: NodeId, model: str) -> Chunk | None:
        """The last part of a day, a node and a model."""
        names = [each for each in self._chunks if each[:3] == (day, node, model)]
        return self._chunks[max(names)] if names else None

    def chunks(self, wanted: Stretch, *, after: ChunkId, most: Bytes) -> Sequence[Chunk]:
        """Chunks behind ``after`` in the order of their names: one, and more up to ``most``."""
        found: list[Chunk] = []
        size = 0
        for name in sorted(self._chunks):
            each = self._chunks[name]
            meant = wanted.node in {"", name.node} and wanted.model in {"", name.model}
            within = each.first_us < wanted.until_us and each.last_us >= wanted.since_us
            if name > after and meant and within and size < most:
                found.append(each)
                size += len(each.body)
        return found

    def level(self) -> ChunkLevel:
        """What is kept."""
        every = self._chunks.values()
        return ChunkLevel(
            chunks=len(every),
            records=sum(each.count for each in every),
            size=Bytes(sum(len(each.body) for each in every)),
            first_us=min((each.first_us for each in every), default=0),
        )

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._taken = Taken()
