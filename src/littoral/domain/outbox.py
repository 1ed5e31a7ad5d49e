"""What leaves a node by its outbox: lanes of numbered, chained rows, and how far they came.

A row is named for ever by (node, outbox, lane, seq). Its mac chains it to the row before, so that
two disks that went different ways after a copy are told apart where they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never, get_args

from littoral.domain.audit import Finding, Vote
from littoral.domain.ids import ProjectId, RequestId
from littoral.domain.node import Event
from littoral.domain.units import Bytes, Micros
from littoral.domain.usage import UsageRecord

Lane: TypeAlias = Literal["ledger", "event", "sample", "metric"]
LANES: tuple[Lane, ...] = get_args(Lane)
"""In the order in which they are sent; the place is the lane's number on disk."""
SHARES: Mapping[Lane, float] = {"ledger": 0.50, "event": 0.15, "sample": 0.25, "metric": 0.10}
"""Of an outbox's quota."""
LATEST_US = (1 << 63) - 1
"""After every moment."""
MANY = 500
"""Most rows of one batch."""
HEAVY = Bytes(48 * 1024)
"""Most bytes of one batch's bodies, unless its first alone has more."""
LEDGER_HIGH = 0.80
"""Share of the ledger lane's quota from which on an event says so."""
LEDGER_FULL, LEDGER_FREE = 0.95, 0.90
"""Shares of it: at the first nothing new may need a record, below the second it may again."""
Judgement: TypeAlias = Literal["applied", "known", "gap", "forked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Content that its owner gave for training and evaluation, sealed; never read on the way."""

    at_us: Micros
    request: RequestId
    project: ProjectId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """What a node measured in ``span_s`` seconds from ``at_us``: means, or sums that add up."""

    at_us: Micros
    span_s: int
    figures: Mapping[str, float]


Note: TypeAlias = Event | Sample | Rollup | Finding | Vote
"""What goes into a lane that may lose its oldest rows."""


def lane_of(note: Note) -> Lane:
    """The lane of a note."""
    match note:
        case Event():
            return "event"
        case Sample() | Finding() | Vote():
            return "sample"
        case Rollup():
            return "metric"
        case _:
            assert_never(note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a lane came: the last row's number, and its mac where that is known."""

    seq: int = 0
    mac: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; exactly one of the fields after ``mac`` says what it holds.

    ``hole`` is the first of the numbers, up to ``seq``, that were dropped unsent for want of room.
    ``damaged`` is the length of a body that failed its mac, and is not to be had any more.
    """

    seq: int
    mac: bytes = b""
    usage: UsageRecord | None = None
    event: Event | None = None
    sample: Sample | None = None
    rollup: Rollup | None = None
    hole: int | None = None
    damaged: int | None = None
    finding: Finding | None = None
    vote: Vote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redated:
    """Rows whose usage was dated by a wrong clock, and what is to be added to their dates.

    ``by_us`` is None where nobody knows: the clock was wrong until the machine went off.
    """

    first: int
    last: int
    by_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one lane in order of seq, without a gap; ``prev_mac`` is of the row before.

    Rows are as they were written and chained; ``redated`` is what is known of their dates since.
    """

    lane: Lane
    prev_mac: bytes = b""
    rows: tuple[Row, ...] = ()
    redated: tuple[Redated, ...] = ()

    @property
    def first(self) -> int:
        """The first number that it covers; to be asked of a batch that has rows."""
        head = self.rows[0]
        return head.seq if head.hole is None else head.hole

    @property
    def end(self) -> Mark:
        """Where it ends."""
        return Mark(seq=self.rows[-1].seq, mac=self.rows[-1].mac) if self.rows else Mark()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a batch, and how far its lane is applied and synced now.

    ``damaged`` and ``missing`` count rows that were applied as such: known to have been, gone.
    """

    judgement: Judgement
    mark: Mark
    damaged: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLevel:
    """How full a lane is: rows that control lacks, all rows and bytes held, rows that it lost.

    ``last`` is the number of its last row.
    """

    waiting: int = 0
    rows: int = 0
    held: Bytes = Bytes(0)
    quota: Bytes = Bytes(0)
    lost: int = 0
    last: int = 0

    @property
    def share(self) -> float:
        """Bytes held by its quota."""
        return self.held / self.quota if self.quota else 0.0

    @property
    def owed(self) -> float:
        """Share of the quota that rows take which control lacks; the others may make room."""
        return self.share * self.waiting / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLevel:
    """How full an outbox is, and what it has written to its device since it was opened."""

    lanes: Mapping[Lane, LaneLevel] = field(default_factory=dict[Lane, LaneLevel])
    device_bytes: Bytes = Bytes(0)


def is_full(ledger: LaneLevel, *, was: bool) -> bool:
    """Whether the ledger's lane is so full that nothing new may begin; ``was``: it had been."""
    return ledger.owed >= (LEDGER_FREE if was else LEDGER_FULL)


def judge(cursor: Mark, batch: Batch) -> tuple[Judgement, Sequence[Row]]:
    """What to do with a batch where so much of its lane is applied; returns the rows to apply.

    Rows at or below the cursor are known. What follows must begin at the next number and chain to
    the mac of the last; a hole chains to nothing, and the ledger takes none.
    """
    fresh = [row for row in batch.rows if row.seq > cursor.seq]
    if not fresh:
        same = {row.seq: row.mac for row in batch.rows}.get(cursor.seq, cursor.mac)
        return ("known" if _chains(cursor.mac, same) else "forked"), ()
    if batch.first > cursor.seq + 1:
        return "gap", ()
    if fresh[0].hole is not None:
        return ("gap", ()) if batch.lane == "ledger" else ("applied", fresh)
    before = [row.mac for row in batch.rows if row.seq == cursor.seq]
    if not _chains(cursor.mac, before[0] if before else batch.prev_mac):
        return "forked", ()
    return "applied", fresh


def dated(batch: Batch, now_us: Micros) -> Batch:
    """The batch with the dates that are right, and none later than ``now_us``, when it came.

    A node whose clock was wrong while it could ask nobody may have been ahead of the time. What it
    has told of its dates since is applied here, once: only what nobody knows remains of it.
    """
    if batch.redated:
        rows = tuple(_moved(row, batch.redated) for row in batch.rows)
        doubtful = tuple(each for each in batch.redated if each.by_us is None)
        batch = replace(batch, rows=rows, redated=doubtful)
    if all(_at(row) <= now_us for row in batch.rows):
        return batch
    return replace(batch, rows=tuple(_at_most(row, now_us) for row in batch.rows))


def _moved(row: Row, redated: Sequence[Redated]) -> Row:
    by_us = next((each.by_us for each in redated if each.first <= row.seq <= each.last), None)
    if row.usage is None or by_us is None:
        return row
    return replace(row, usage=replace(row.usage, at_us=Micros(max(0, row.usage.at_us + by_us))))


def _at(row: Row) -> int:
    note = row.usage or row.event or row.rollup or row.finding or row.vote
    return 0 if note is None else note.at_us


def _at_most(row: Row, now_us: Micros) -> Row:
    usage, event, rollup = row.usage, row.event, row.rollup
    if usage is not None and usage.at_us > now_us:
        usage = replace(usage, at_us=now_us)
    if event is not None and event.at_us > now_us:
        event = replace(event, at_us=now_us)
    if rollup is not None and rollup.at_us > now_us:
        rollup = replace(rollup, at_us=now_us)
    finding, vote = row.finding, row.vote
    if finding is not None and finding.at_us > now_us:
        finding = replace(finding, at_us=now_us)
    if vote is not None and vote.at_us > now_us:
        vote = replace(vote, at_us=now_us)
    return replace(row, usage=usage, event=event, rollup=rollup, finding=finding, vote=vote)


def receipt(judgement: Judgement, rows: Sequence[Row], cursor: Mark) -> Receipt:
    """The receipt of rows that were applied behind ``cursor``."""
    last = rows[-1] if rows else None
    missing, at = 0, cursor.seq
    for row in rows:
        missing += row.seq - at if row.hole is not None else 0
        at = row.seq
    return Receipt(
        judgement=judgement,
        mark=cursor if last is None else Mark(seq=last.seq, mac=last.mac),
        damaged=sum(row.damaged is not None for row in rows),
        missing=missing,
    )


def _chains(known: bytes, said: bytes) -> bool:
    """An empty mac is that of a row written before there were macs: it says nothing."""
    return not known or not said or known == said
