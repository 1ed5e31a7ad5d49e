"""Chunk: usage records of one day, node and model in columns; Line: one record as control took it.

``ChunkStore`` keeps chunks, whatever is in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from littoral.domain.ids import NodeId, RequestId
from littoral.domain.outbox import LATEST_US
from littoral.domain.units import Bytes
from littoral.domain.usage import UsageRecord


class ChunkId(NamedTuple):
    """Names a chunk: the day since 1970 of its records, who sent them, of what, and which part."""

    day: int
    node: NodeId
    model: str
    part: int


FIRST: Final = ChunkId(-1, NodeId(""), "", 0)
"""Before every chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A usage record in the order in which the ledger took it, with the node that sent it."""

    number: int
    node: NodeId
    usage: UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How far the ledger's lines are in chunks: the last one's number and names; 0: none is."""

    number: int = 0
    request: RequestId | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Records from ``first_us`` to ``last_us``; ``body`` is from ``placement.columns``."""

    id: ChunkId
    first_us: int
    last_us: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which chunks are wanted: with records from ``since_us`` to before ``until_us``.

    An empty ``node`` or ``model`` stands for all.
    """

    since_us: int = 0
    until_us: int = LATEST_US
    node: str = ""
    model: str = ""


ALL: Final = Stretch()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLevel:
    """What is kept: chunks, records in them, bytes of their bodies, and the first moment."""

    chunks: int = 0
    records: int = 0
    size: Bytes = Bytes(0)
    first_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPage:
    """Chunks of records in the order of their names; an empty ``next``: there are no more."""

    chunks: tuple[Chunk, ...]
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPage:
    """Records by day, node and model; an empty ``next``: there are no more.

    There may be few, or none, though more follow: an answer looks at so many chunks only.
    ``unreadable`` counts those that were kept and cannot be read any more.
    """

    records: tuple[UsageRecord, ...]
    next: str = ""
    unreadable: int = 0


class ChunkStore(Protocol):
    """Control's store of chunks, and of how far the ledger is in them.

    Calls may raise ``StorageFull``, ``Damaged`` or ``Unavailable``.
    """

    def taken(self) -> Taken:
        """How far the ledger's lines are in chunks."""
        ...

    def put(self, chunks: Sequence[Chunk], taken: Taken, *, today: int) -> None:
        """Keep chunks, each in place of the one of its name, and move on; both or neither, synced.

        What is older than is kept, and the oldest days of more bytes than may be, go. How old a day
        is goes by ``today``: one record that is dated far ahead makes no other one old.
        """
        ...

    def last(self, day: int, node: NodeId, model: str) -> Chunk | None:
        """The last part of a day, a node and a model."""
        ...

    def chunks(self, wanted: Stretch, *, after: ChunkId, most: Bytes) -> Sequence[Chunk]:
        """Chunks behind ``after``, in the order of their names: one, more up to ``most`` bytes."""
        ...

    def level(self) -> ChunkLevel:
        """What is kept."""
        ...

    def clear(self) -> None:
        """Forget everything: the ledger is another one than it was."""
        ...
