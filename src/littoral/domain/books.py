"""Books: the ports that usage and news pass on their way from an outbox to control."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from littoral.domain.audit import Numbered
from littoral.domain.chunk import Line
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.limits import Spent
from littoral.domain.news import NumberedEvent, Wanted
from littoral.domain.node import Event
from littoral.domain.outbox import LATEST_US, Batch, Lane, Mark, Note, OutboxLevel, Receipt, Rollup
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord, UsageSum


class Outbox(Protocol):
    """A node's durable queue: lanes of numbered, chained rows, synced, resent until stored.

    A call may raise ``Unavailable`` after an I/O error: what was acknowledged is there.
    """

    @property
    def name(self) -> str:
        """Identity of this outbox: a new disk, or one whose rows were renumbered, has a new one."""
        ...

    async def append(self, records: Sequence[UsageRecord]) -> int:
        """Write records into the ledger lane and sync; returns its last number.

        A record whose (request, attempt) is already there is not written twice.

        Raises:
            LedgerFull: The lane holds as many bytes as it may, and control has none of them.
            StorageFull: No room; nothing was written.
        """
        ...

    async def put(self, notes: Sequence[Note]) -> None:
        """Write notes into their lanes and sync; the oldest ones there make room for them.

        Raises:
            StorageFull: No room; nothing was written.
        """
        ...

    async def read(self, lane: Lane, after: int, limit: int) -> Batch:
        """Rows with numbers above ``after``, in order: at most ``limit``, about ``HEAVY`` bytes.

        Where the first of them were dropped, a hole stands in their place; a row that is damaged
        comes as such.
        """
        ...

    async def stored(self, lane: Lane, mark: Mark, *, safe: int = 0) -> None:
        """Control has applied a lane up to ``mark``, and has it on another box up to ``safe``.

        Notes are dropped then; usage records when they are safe, or a day later, so that a control
        that was restored gets them again. Where control knows other rows than these, the disk was
        restored or copied: all rows that are here go on under a new name, numbered from 1.
        """
        ...

    async def level(self) -> OutboxLevel:
        """How full it is."""
        ...

    async def spent(self) -> Sequence[Spent]:
        """What all records ever appended cost, by limit id and hour; it survives ``stored``."""
        ...


class Ledger(Protocol):
    """Control's book of usage: each (node, outbox, seq) and each (request, attempt) once."""

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply a batch as ``judge`` says, in one synced transaction; returns what became of it.

        Rows that are known are skipped; behind a gap, or from a fork, none is applied.
        """
        ...

    def cursor(self, node: NodeId, outbox: str) -> Mark:
        """How far an outbox is applied."""
        ...

    def sums(
        self,
        *,
        by: Sequence[str],
        since_us: Micros | None = None,
        until_us: Micros | None = None,
        project: ProjectId | None = None,
        key: KeyId | None = None,
    ) -> Sequence[UsageSum]:
        """Sums grouped by any of project, key, model, day, node, tag, ordered by these."""
        ...

    def record(self, request: str) -> Sequence[UsageRecord]:
        """Every attempt of one request."""
        ...

    def latest(
        self, *, limit: int, until_us: Micros | None = None, project: ProjectId | None = None
    ) -> Sequence[UsageRecord]:
        """At most ``limit`` records that began before ``until_us``, the latest first."""
        ...

    def since(self, number: int, limit: int) -> Sequence[Line]:
        """At most ``limit`` lines behind a number, in the order in which they were applied."""
        ...


class Inbox(Protocol):
    """Control's store of news: what nodes send beside usage, and what control itself has to tell.

    Each (node, outbox, lane, seq) and each event of a node at one time, code and subject counts
    once. The oldest rows go when there are very many.
    """

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply a batch as ``judge`` says, in one synced transaction; returns what became of it."""
        ...

    def cursors(self, node: NodeId, outbox: str) -> Mapping[Lane, Mark]:
        """How far each lane of an outbox is applied; those of which nothing is are left out."""
        ...

    def take(self, events: Sequence[Event]) -> None:
        """Keep events of control's own, synced."""
        ...

    def events(self, wanted: Wanted) -> Sequence[NumberedEvent]:
        """The last events that were asked for, oldest first."""
        ...

    def noted(self) -> int:
        """The number of the last finding or vote; 0 before the first."""
        ...

    def notes(self, after: int, *, limit: int) -> Sequence[Numbered]:
        """Findings and votes numbered above ``after``, in order; each number is given once."""
        ...

    def rollups(
        self, node: NodeId, *, limit: int, since_us: int = 0, until_us: int = LATEST_US
    ) -> Sequence[Rollup]:
        """The last measurements of a node from a moment to before another, oldest first."""
        ...
