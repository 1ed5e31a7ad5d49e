"""An outbox in memory."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from littoral.domain.audit import Finding, Vote
from littoral.domain.errors import LedgerFull, StorageFull
from littoral.domain.limits import Spent, spendings
from littoral.domain.node import Event
from littoral.domain.outbox import (
    HEAVY,
    LANES,
    SHARES,
    Batch,
    Lane,
    LaneLevel,
    Mark,
    Note,
    OutboxLevel,
    Rollup,
    Row,
    Sample,
    lane_of,
)
from littoral.domain.ports import Clock
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.testing.clock import SettableClock
from littoral.trust.chain import row_mac

KEY = b"in memory"
QUOTA = Bytes(2 << 30)
KEPT = Seconds(24 * 3600.0)


@dataclass(slots=True)
class _Lane:
    """Rows from ``base + 1`` on, and since when control has which."""

    base: int = 0
    base_mac: bytes = b""
    stored: int = 0
    lost: int = 0
    rows: list[Row] = field(default_factory=list[Row])
    since: list[tuple[Micros, int]] = field(default_factory=list[tuple[Micros, int]])
    held: int = 0
    here: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    @property
    def last(self) -> int:
        return self.base + len(self.rows)

    def mac(self, seq: int) -> bytes:
        return self.base_mac if seq <= self.base else self.rows[seq - self.base - 1].mac

    def add(self, row: Row) -> None:
        body = repr(replace(row, seq=0, mac=b"")).encode()
        mac = row_mac(KEY, self.mac(self.last), (self.last + 1, 0, 0, body))
        self.rows.append(replace(row, seq=self.last + 1, mac=mac))
        self.held += _cost(row)
        if row.usage is not None:
            self.here.add((row.usage.request, row.usage.attempt))

    def drop(self, upto: int) -> None:
        if upto > self.base:
            mac = self.mac(upto)
            for row in self.rows[: upto - self.base]:
                self.held -= _cost(row)
                if row.usage is not None:
                    self.here.discard((row.usage.request, row.usage.attempt))
            del self.rows[: upto - self.base]
            self.base, self.base_mac = upto, mac


class MemoryOutbox:
    """Twin of ``Outbox``. ``full`` makes what is appended or put fail until a test clears it.

    Args:
        name: Its first identity.
        clock: Says how long control has had a record.
        quota: Bytes of all lanes.
        kept_s: How long usage records stay when control has them.
    """

    def __init__(
        self,
        name: str = "ob_memory",
        *,
        clock: Clock | None = None,
        quota: Bytes = QUOTA,
        kept_s: Seconds = KEPT,
    ) -> None:
        self.full = False
        self._name = name
        self._names = 1
        self._clock = clock or SettableClock()
        self._quota = quota
        self._kept_us = int(kept_s * 1e6)
        self._lanes = _lanes()
        self._spent: dict[tuple[str, int], int] = {}

    @property
    def name(self) -> str:
        """Identity of this outbox."""
        return self._name

    def become(self, other: "MemoryOutbox") -> None:
        """Be a copy of another one, name and all, as on a disk that was copied."""
        self._name, self._names, self._lanes, self._spent = other.copied()

    def copied(self) -> tuple[str, int, dict[Lane, _Lane], dict[tuple[str, int], int]]:
        """What is on its disk, as a copy."""
        return self._name, self._names, deepcopy(self._lanes), dict(self._spent)

    async def append(self, records: Sequence[UsageRecord]) -> int:
        """Keep records; returns the ledger's last number."""
        lane = self._lanes["ledger"]
        new = [each for each in records if (each.request, each.attempt) not in lane.here]
        self._check(new)
        cost = sum(len(repr(each)) for each in new)
        if lane.held + cost > self._quota * SHARES["ledger"]:
            lane.drop(lane.stored)
            if lane.held + cost > self._quota * SHARES["ledger"]:
                raise LedgerFull("usage records that control has not stored fill the outbox")
        for record in new:
            if (record.request, record.attempt) in lane.here:
                continue
            lane.add(Row(seq=0, usage=record))
            for each in spendings([record]):
                at = (each.limit, each.hour)
                self._spent[at] = self._spent.get(at, 0) + each.amount
        return lane.last

    async def put(self, notes: Sequence[Note]) -> None:
        """Keep notes; the oldest of their lanes make room for them."""
        self._check(notes)
        for note in notes:
            name = lane_of(note)
            lane, quota = self._lanes[name], self._quota * SHARES[name]
            row = _row(note)
            if _cost(row) > quota:
                raise StorageFull("one row is larger than its lane")
            while lane.held + _cost(row) > quota:
                lane.lost += lane.base + 1 > lane.stored
                lane.drop(lane.base + 1)
            lane.add(row)

    async def read(self, lane: Lane, after: int, limit: int) -> Batch:
        """Rows with numbers above ``after``, a hole first where some of them were dropped."""
        kept = self._lanes[lane]
        rows: list[Row] = []
        if after < kept.base:
            rows.append(Row(seq=kept.base, mac=kept.base_mac, hole=after + 1))
        before = b"" if rows else kept.mac(min(after, kept.last))
        weight = 0
        for row in kept.rows[max(0, after - kept.base) :][: limit - len(rows)]:
            weight += _cost(row)
            if rows and weight > HEAVY:
                break
            rows.append(row)
        return Batch(lane=lane, prev_mac=before, rows=tuple(rows))

    async def stored(self, lane: Lane, mark: Mark, *, safe: int = 0) -> None:
        """Drop what control has; where it knows other rows, begin again under a new name."""
        kept = self._lanes[lane]
        behind = lane == "ledger" and mark.seq < kept.base
        if mark.seq > kept.last or behind or self._differs(kept, mark):
            self._begin_again()
            return
        kept.stored = max(kept.stored, mark.seq)
        now = self._clock.wall()
        kept.since.append((now, kept.stored))
        upto = kept.stored
        if lane == "ledger":
            old = [seq for at, seq in kept.since if at + self._kept_us <= now]
            upto = min(kept.stored, max([safe, *old]))
        kept.drop(upto)
        kept.since = [each for each in kept.since if each[1] > upto]

    async def level(self) -> OutboxLevel:
        """How full it is."""
        return OutboxLevel(
            lanes={
                name: LaneLevel(
                    waiting=lane.last - max(lane.stored, lane.base),
                    rows=len(lane.rows),
                    held=Bytes(lane.held),
                    quota=Bytes(int(self._quota * SHARES[name])),
                    lost=lane.lost,
                    last=lane.last,
                )
                for name, lane in self._lanes.items()
            }
        )

    async def spent(self) -> Sequence[Spent]:
        """What all records ever appended cost, by limit id and hour."""
        rows = self._spent.items()
        return [Spent(limit=limit, hour=hour, amount=amount) for (limit, hour), amount in rows]

    def _check(self, what: Sequence[object]) -> None:
        if self.full and what:
            raise StorageFull("no room for the outbox")

    def _differs(self, lane: _Lane, mark: Mark) -> bool:
        own = lane.mac(mark.seq) if mark.seq >= lane.base else b""
        return bool(mark.mac and own and mark.mac != own)

    def _begin_again(self) -> None:
        self._names += 1
        self._name = f"{self._name.split('.')[0]}.{self._names}"
        old, self._lanes = self._lanes, _lanes()
        for name, lane in old.items():
            for row in lane.rows:
                self._lanes[name].add(row)


def _lanes() -> dict[Lane, _Lane]:
    return {lane: _Lane() for lane in LANES}


def _row(note: Note) -> Row:
    match note:
        case Event():
            return Row(seq=0, event=note)
        case Sample():
            return Row(seq=0, sample=note)
        case Rollup():
            return Row(seq=0, rollup=note)
        case Finding():
            return Row(seq=0, finding=note)
        case Vote():
            return Row(seq=0, vote=note)


def _cost(row: Row) -> int:
    note = row.usage or row.event or row.sample or row.rollup
    return len(repr(note or row.finding or row.vote))
