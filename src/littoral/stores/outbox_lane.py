"""The lanes of an outbox file: numbers, macs, room and what may be dropped, as literal SQL.

A key is ``lane << 56 | seq``, so that every lane grows at its own end. The rows of a lane run
without a gap from ``base + 1`` to ``last``; numbers come from there, never from SQLite, which would
begin at 1 again once every row is gone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import apsw

from littoral.domain.errors import Damaged, LedgerFull, StorageFull
from littoral.domain.outbox import HEAVY, LANES, SHARES, Batch, Lane, LaneLevel, Row
from littoral.domain.units import Bytes
from littoral.stores import body, sqlite
from littoral.stores.body import DAMAGED, Prepared
from littoral.stores.sqlite import run
from littoral.trust.chain import row_mac

TABLES = (
    """\
create table outbox(
  key integer primary key, kind integer not null, at_us integer not null, body blob not null,
  mac blob not null, once text
) strict""",
    "create unique index outbox_once on outbox(once) where once is not null",
    """\
create table lane(
  lane integer primary key, stored integer not null, safe integer not null, base integer not null,
  base_mac blob not null, dropped integer not null, lost integer not null, held integer not null,
  counted integer not null
) strict""",
    """\
create table mark(
  lane integer not null, seq integer not null, at_us integer not null, primary key(lane, seq)
) strict, without rowid""",
)
COLUMNS = "key, kind, at_us, body, mac, once"
INSERT = f"insert into outbox({COLUMNS}) values(?, ?, ?, ?, ?, ?)"
INSERT_NEW = f"{INSERT} on conflict(once) where once is not null do nothing"
READ = """\
select key, kind, at_us, body, mac from outbox where key > ? and key <= ? order by key limit ?"""
NEWEST = "select key, mac from outbox where key > ? and key <= ? order by key desc limit 1"
MAC = "select mac from outbox where key = ?"
COST = "length(body) + 2 * coalesce(length(once), 0) + 48"
SUM = f"select coalesce(sum({COST}), 0) from outbox where key > ? and key <= ?"  # noqa: S608  ours
OLDEST = f"select key, mac, {COST} from outbox where key > ? and key <= ? order by key limit 500"  # noqa: S608  ours
SPOIL = "update outbox set kind = 0, body = ? where key = ?"
WRITE = "insert or replace into lane values(?, ?, ?, ?, ?, ?, ?, ?, ?)"
HIGHEST = (1 << 56) - 1
BELOW = 0.95
"""Share of its quota that a lane is brought down to where its oldest rows make room."""


class RowsMissing(Exception):
    """The rows of a lane are not without a gap, as they were written."""


class _Raw(NamedTuple):
    """A row as it is in the file."""

    key: int
    kind: int
    at_us: int
    body: bytes
    mac: bytes

    @property
    def seq(self) -> int:
        return self.key & HIGHEST

    @property
    def signed(self) -> tuple[int, int, int, bytes]:
        """What its mac is over."""
        return (self.seq, self.kind, self.at_us, self.body)


@dataclass(slots=True)
class LaneState:
    """Where one lane is. ``tail`` is the mac of ``last``; ``held`` counts the bytes of its rows."""

    lane: Lane
    number: int
    stored: int = 0
    safe: int = 0
    base: int = 0
    base_mac: bytes = b""
    dropped: int = 0
    lost: int = 0
    held: int = 0
    last: int = 0
    tail: bytes = b""

    def key(self, seq: int) -> int:
        """The key of a row."""
        return self.number << 56 | seq

    def row(self) -> tuple[sqlite.Value, ...]:
        """What is written of it; ``held`` is true up to ``last`` as it is now."""
        kept = (self.stored, self.safe, self.base, self.base_mac, self.dropped, self.lost)
        return (self.number, *kept, self.held, self.last)


class Lanes:
    """All lanes of one open file; every method runs on the thread that owns it.

    Args:
        connection: To the file.
        key: Of the macs.
        quota: Bytes of all lanes together.
    """

    def __init__(self, connection: apsw.Connection, key: bytes, quota: Bytes) -> None:
        self._connection = connection
        self._key = key
        self._quota = quota
        self._states: dict[Lane, LaneState] = {
            lane: LaneState(lane, number) for number, lane in enumerate(LANES)
        }
        self._load()

    def __getitem__(self, lane: Lane) -> LaneState:
        """The state of a lane."""
        return self._states[lane]

    def _load(self) -> None:
        """Read where each lane is; nothing is written of one of which no row was ever sent."""
        kept = {cast("int", row[0]): row for row in run(self._connection, "select * from lane")}
        for number, lane in enumerate(LANES):
            row = kept.get(number, LaneState(lane, number).row())
            state = self._states[lane] = LaneState(lane, *cast("tuple[int]", row[:8]))
            state.last, state.tail = max(state.stored, state.dropped, state.base), state.base_mac
            top = run(self._connection, NEWEST, (state.key(0), state.key(HIGHEST)))
            if top:
                state.last = max(state.last, cast("int", top[0][0]) & HIGHEST)
                state.tail = cast("bytes", top[0][1])
            uncounted = (state.key(cast("int", row[8])), state.key(HIGHEST))
            state.held += cast("int", run(self._connection, SUM, uncounted)[0][0])

    def _copy(self) -> dict[Lane, LaneState]:
        return {lane: replace(state) for lane, state in self._states.items()}

    def transact(self, work: Callable[[], None]) -> None:
        """Run ``work`` in one transaction; where it fails, the lanes are as they were."""
        before = self._copy()
        try:
            sqlite.transact(self._connection, work)
        except BaseException:
            self._states = before
            raise

    def levels(self) -> dict[Lane, LaneLevel]:
        """How full each lane is."""
        return {
            lane: LaneLevel(
                waiting=state.last - max(state.stored, state.base),
                rows=state.last - state.base,
                held=Bytes(state.held),
                quota=self._quota_of(lane),
                lost=state.lost,
                last=state.last,
            )
            for lane, state in self._states.items()
        }

    # what is written

    def write(self, rows: Sequence[Prepared], *, singly: bool) -> list[Prepared]:
        """Append rows, inside a transaction; returns those that were not there already.

        Args:
            rows: In order.
            singly: Skip those whose ``once`` is known, where an error would end it otherwise.

        Raises:
            apsw.ConstraintError: One is known.
        """
        if not singly:
            before = self._copy()
            try:
                sqlite.run_many(self._connection, INSERT, [self._numbered(each) for each in rows])
            except apsw.ConstraintError:
                self._states = before
                raise
            return list(rows)
        new: list[Prepared] = []
        for each in rows:
            state = replace(self._states[each.lane])
            run(self._connection, INSERT_NEW, self._numbered(each))
            if self._connection.changes():
                new.append(each)
            else:
                self._states[each.lane] = state
        return new

    def _numbered(self, row: Prepared) -> tuple[sqlite.Value, ...]:
        state = self._states[row.lane]
        state.last += 1
        state.tail = row_mac(self._key, state.tail, (state.last, row.kind, row.at_us, row.body))
        state.held += row.cost
        return (state.key(state.last), row.kind, row.at_us, row.body, state.tail, row.once)

    def make_room(self, rows: Iterable[Prepared]) -> None:
        """See, inside a transaction, that rows fit into the quotas of their lanes.

        Rows that are stored leave the ledger for it; other lanes lose their oldest, too.

        Raises:
            LedgerFull: The ledger holds too many rows that are not stored.
            StorageFull: A row is larger than its lane.
        """
        costs: dict[Lane, int] = {}
        for row in rows:
            costs[row.lane] = costs.get(row.lane, 0) + row.cost
        for lane, cost in costs.items():
            state, quota = self._states[lane], self._quota_of(lane)
            if state.held + cost <= quota:
                continue
            end = state.stored if lane == "ledger" else state.last
            self._drop(state, end=end, to=int(quota * BELOW) - cost)
            if state.held + cost > quota:
                raise _no_room(lane, quota)

    def reclaim(self) -> bool:
        """Delete one chunk of what a full disk can spare; False where there is nothing.

        First rows that control has, then the oldest metrics and samples.
        """
        for lane in LANES:
            state = self._states[lane]
            if state.stored > state.base:
                self.release(lane, min(state.stored, state.base + 20))
                return True
        for lane in ("metric", "sample"):
            state = self._states[lane]
            if state.last > state.base:
                self._drop(state, end=min(state.last, state.base + 20), to=0)
                return True
        return False

    def release(self, lane: Lane, upto: int) -> None:
        """Delete rows up to ``upto``, inside a transaction: they are not needed here any more."""
        state = self._states[lane]
        upto = min(upto, state.last)
        if upto <= state.base:
            return
        keys = (state.key(state.base), state.key(upto))
        mac = run(self._connection, MAC, (state.key(upto),))
        freed = cast("int", run(self._connection, SUM, keys)[0][0])
        run(self._connection, "delete from outbox where key > ? and key <= ?", keys)
        known = cast("bytes", mac[0][0]) if mac else b""
        self._advance(state, upto, mac=known, freed=freed)

    def _drop(self, state: LaneState, *, end: int, to: int) -> None:
        """Delete the oldest rows up to ``end`` until only ``to`` bytes are held."""
        while state.held > to and state.base < end:
            keys = (state.key(state.base), state.key(end))
            found = run(self._connection, OLDEST, keys)
            if not found:
                return
            freed, last, mac = 0, state.base, b""
            for key, its_mac, cost in found:
                last, mac = cast("int", key) & HIGHEST, cast("bytes", its_mac)
                freed += cast("int", cost)
                if state.held - freed <= to:
                    break
            state.lost += max(0, last - max(state.base, state.stored))
            if last > state.stored:
                state.dropped = last
            bounds = (state.key(state.base), state.key(last))
            run(self._connection, "delete from outbox where key > ? and key <= ?", bounds)
            self._advance(state, last, mac=mac, freed=freed)

    def _advance(self, state: LaneState, base: int, *, mac: bytes, freed: int) -> None:
        state.base, state.base_mac = base, mac
        state.held = max(0, state.held - freed)
        self.save(state)

    def save(self, state: LaneState) -> None:
        """Write down where a lane is, inside a transaction."""
        run(self._connection, WRITE, state.row())

    # what is read

    def mac_at(self, lane: Lane, seq: int) -> bytes:
        """The mac of a row; empty where it is not known any more."""
        state = self._states[lane]
        if seq == state.last:
            return state.tail
        if seq == state.base:
            return state.base_mac
        found = run(self._connection, MAC, (state.key(seq),))
        return cast("bytes", found[0][0]) if found else b""

    def read(self, lane: Lane, after: int, limit: int) -> Batch:
        """Rows with numbers above ``after``; where these were dropped, a hole opens the batch.

        A row whose mac is wrong, or that cannot be read, is spoilt for good and told as such.

        Raises:
            RowsMissing: Numbers are left out in between.
        """
        state = self._states[lane]
        rows: list[Row] = []
        if after < state.base:
            rows.append(Row(seq=state.base, mac=state.base_mac, hole=after + 1))
        at = max(after, state.base)
        before = self.mac_at(lane, at)
        first = b"" if rows else before
        weight = 0
        for found in self._raw(state, at, limit - len(rows)):
            weight += len(found.body)
            if weight > HEAVY and rows:
                break
            if found.seq != at + 1:
                raise RowsMissing(f"row {at + 1} of lane {lane} is missing")
            rows.append(self._checked(found, before))
            at, before = found.seq, found.mac
        return Batch(lane=lane, prev_mac=first, rows=tuple(rows))

    def _raw(self, state: LaneState, after: int, limit: int) -> list[_Raw]:
        keys = (state.key(after), state.key(HIGHEST), limit)
        return [_Raw(*cast("_Raw", row)) for row in run(self._connection, READ, keys)]

    def _checked(self, found: _Raw, before: bytes | None) -> Row:
        """The row, or that it is damaged; without the mac before, only its content is looked at."""
        if found.kind == DAMAGED:
            return body.row_of(found.seq, DAMAGED, found.body, mac=found.mac)
        try:
            if before is None or row_mac(self._key, before, found.signed) == found.mac:
                return body.row_of(found.seq, found.kind, found.body, mac=found.mac)
        except Damaged:
            pass  # told as damaged
        run(self._connection, SPOIL, (body.damaged(len(found.body)), found.key))
        return Row(seq=found.seq, mac=found.mac, damaged=len(found.body))

    def renumber(self) -> None:
        """Number the rows of every lane from 1, chained anew, inside a transaction."""
        for lane, old in self._states.items():
            state = LaneState(lane, old.number, held=old.held)
            at, before = old.base, old.base_mac
            while rows := self._raw(old, at, 500):
                for found in rows:
                    row = self._checked(found, before if found.seq == at + 1 else None)
                    at, before = found.seq, found.mac
                    self._move(state, found, spoilt=row.damaged is not None)
            self._states[lane] = state
            self.save(state)

    def _move(self, state: LaneState, found: _Raw, *, spoilt: bool) -> None:
        """Give a row the next number of a lane."""
        kept = found._replace(kind=DAMAGED, body=b"") if spoilt else found
        state.last += 1
        kept = kept._replace(key=state.key(state.last))
        state.tail = row_mac(self._key, state.tail, kept.signed)
        move = "update outbox set key = ?, mac = ? where key = ?"
        run(self._connection, move, (kept.key, state.tail, found.key))

    def _quota_of(self, lane: Lane) -> Bytes:
        return Bytes(int(self._quota * SHARES[lane]))


def _no_room(lane: Lane, quota: int) -> StorageFull:
    mib = f"{quota / 1024 / 1024:.1f} MiB"
    if lane == "ledger":
        return LedgerFull(f"usage records that control has not stored fill {mib}")
    return StorageFull(f"one row is over the {mib} that lane {lane} may have")
