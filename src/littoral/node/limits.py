"""Limits: which row of the quota table counts which limit, and what was spent before.

The node gives rows to limits, puts into them what its outbox says was spent, and settles for a
gateway that died. It counts nothing else: gateways do, while they live.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import anyio

from littoral.domain.flight import Flight
from littoral.domain.limits import (
    PERIODS,
    Limits,
    Spent,
    limit_ids,
    nanos,
    period_named,
    period_of,
    spendings,
)
from littoral.domain.ports import Clock
from littoral.domain.quota import (
    DENIED,
    PERIOD,
    REQUESTS,
    SINCE,
    TOKENS,
    UNTIL,
    WANT,
    Lost,
    QuotaTable,
    Use,
    names,
    rename,
)
from littoral.domain.share import Slice, share_name, whole
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.trust.bound import bound

AGAIN = Seconds(0.002)
QUIET = Seconds(120.0)
"""How long a limit must be gone until its row is free: whoever had read it has begun by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used of a limit: money in the period that began at ``since``, requests open now.

    ``denied`` counts requests that were refused, ever; ``want`` is money of the last one.
    """

    since: Micros
    money: int
    under_way: int = 0
    denied: int = 0
    want: int = 0


class LimitRows:
    """The node's side of the quota table; column 0 is its own.

    A row belongs to a limit id and the period of its budget: another period is another row, which
    begins with the old one's rates.

    Args:
        table: The table, in which no gateway lives yet.
        clock: For periods, and for tokens that a dead gateway used.

    Attributes:
        clock: The same.
        slice_of: This node's slice of a limit, by its share's name.
    """

    def __init__(self, table: QuotaTable, clock: Clock) -> None:
        self._table = table
        self.clock = clock
        self._names = names(table.words)
        self._free = sorted(set(range(table.top)) - set(self._names.values()), reverse=True)
        self._spent: dict[str, dict[int, int]] = {}
        self._rows: dict[str, int] = {}
        self._budgets: dict[str, int] = {}
        self._gone: dict[str, float] = {}
        self._limits: Mapping[str, Limits] = {}
        self.slice_of: Callable[[str, Limits], Slice] = lambda _, limits: whole(limits)

    # before any gateway starts

    def restore(self, spent: Iterable[Spent], limits: Iterable[str]) -> None:
        """Begin: nothing is under way, and this was spent.

        Args:
            spent: From the outbox, in which everything that was under way is booked.
            limits: Ids that are limited now; rows of others are free.
        """
        self._spent = {}
        self._add(spent)
        known = set(limits)
        for name, row in list(self._names.items()):
            self._table.clear(row)
            if name.partition("|")[0] not in known:
                self._drop(name, row)
            else:
                self._fill(name, row)

    def _drop(self, name: str, row: int) -> None:
        words, at = self._table.words, self._table.at(row)
        rename(words, row, "")
        for word in range(at, at + WANT + 1):
            words[word] = 0
        del self._names[name]
        self._free.append(row)

    def _fill(self, name: str, row: int) -> None:
        """Put into a row what its budget's period has seen."""
        limit, _, word = name.partition("|")
        period = period_named(word)
        if period is None:
            return
        words, at = self._table.words, self._table.at(row)
        words[at + PERIOD] = PERIODS.index(period)
        words[at + SINCE], words[at + UNTIL] = period_of(period, self.clock.wall())
        first = words[at + SINCE] // HOUR_US
        hours = self._spent.get(limit, {})
        self._table.spend(row, sum(money for hour, money in hours.items() if hour >= first))

    # when limits change

    def allot(self, limits: Mapping[str, Limits]) -> Mapping[str, int]:
        """Return the row of each limit; those for which none is left are missing."""
        rows: dict[str, int] = {}
        for limit, each in limits.items():
            name = share_name(limit, each)
            row = self._row(limit, name)
            if row is not None:
                bound(self._table, row, limits=each, given=self.slice_of(name, each))
                rows[limit] = row
        here = {share_name(limit, each) for limit, each in limits.items()}
        now = self.clock.now()
        self._gone = {n: self._gone.get(n, now) for n in self._names if n not in here}
        self._rows, self._limits = rows, limits
        self._budgets = {limit: row for limit, row in rows.items() if limits[limit].budget}
        return rows

    def leaving(self) -> tuple[str, ...]:
        """Names of rows whose limits have been gone for long enough, and on which nothing is open.

        Once a fence has passed, ``release`` may have them.
        """
        due = self.clock.now() - QUIET
        gone = (name for name, since in self._gone.items() if since <= due)
        return tuple(name for name in gone if not self._table.under_way(self._names[name]))

    def release(self, names: Iterable[str]) -> None:
        """Free rows of limits that are still gone; nothing may be admitted under them any more."""
        for name in names:
            row = self._names.get(name)
            if name in self._gone and row is not None and not self._table.under_way(row):
                del self._gone[name]
                self._table.clear(row)
                self._drop(name, row)

    def rebound(self, shares: Iterable[str]) -> None:
        """Let limits be what this node's slices say now, by share's name; gateways see it at once.

        Shares of limits that are no more, or have another period now, bound nothing.
        """
        for name in shares:
            limit = name.partition("|")[0]
            each, row = self._limits.get(limit), self._rows.get(limit)
            if each is not None and row is not None and share_name(limit, each) == name:
                bound(self._table, row, limits=each, given=self.slice_of(name, each))

    def used(self, name: str) -> Used:
        """What was used of a limit, by its share's name."""
        limit, _, word = name.partition("|")
        period, now_us = period_named(word), self.clock.wall()
        row = self._names.get(name)
        if row is None:
            since = period_of(period, now_us)[0] if period else Micros(0)
            hours = self._spent.get(limit, {}) if period else {}
            return Used(since=since, money=sum(hours[h] for h in hours if h >= since // HOUR_US))
        table, at = self._table, self._table.at(row)
        words = table.words
        since = table.since(row, now_us) if period else 0
        return Used(
            since=Micros(since),
            money=table.taken(row) if period and since == words[at + SINCE] else 0,
            under_way=table.under_way(row),
            denied=words[at + DENIED],
            want=words[at + WANT],
        )

    def _row(self, limit: str, name: str) -> int | None:
        row = self._names.get(name)
        if row is not None or not (self._free or self._table.top < self._table.rows):
            return row
        row = self._names[name] = self._free.pop() if self._free else self._table.top
        old = self._rows.get(limit)
        words, at = self._table.words, self._table.at(row)
        if old is not None:
            for rate in (REQUESTS, TOKENS):
                words[at + rate] = words[self._table.at(old) + rate]
        self._fill(name, row)
        rename(words, row, name)
        return row

    # while gateways live, and when one died

    def held_by_other(self, column: int) -> bool:
        """Whether a gateway other than this column's is inside a section."""
        return self._table.owner not in {-1, column}

    async def lost(self, column: int) -> Lost:
        """Undo what a dead gateway left half done."""
        await self._turn()
        try:
            return self._table.undo(column)
        finally:
            self._table.leave()

    async def settle(self, column: int, flight: Flight) -> None:
        """Settle a request for a dead gateway, with the counts that its record has."""
        if flight.charge is None:
            return
        record = flight.record
        used = Use(
            tokens=record.tokens_in + record.tokens_out,
            money=nanos(record.cost),
            at_us=record.at_us,
            now_ns=int(self.clock.now() * 1e9),
        )
        await self._turn()
        try:
            self._table.settle(column, flight.charge, used)
        finally:
            self._table.leave()

    async def _turn(self) -> None:
        """Enter the limits; a gateway that hangs inside is replaced meanwhile, and lets go then."""
        while not self._table.attempt():  # noqa: ASYNC110  another process is inside
            await anyio.sleep(AGAIN)

    def buried(self, column: int) -> None:
        """All requests of a dead gateway are booked and settled."""
        self._table.forget(column)

    def booked(self, flights: Iterable[Flight]) -> None:
        """Take note of records that are in the outbox now.

        A budget that is younger than a request does not stand in its charge: the node counts it.
        """
        self._add(spendings(flight.record for flight in flights))
        if self._budgets:
            for flight in flights:
                self._catch_up(flight.record, flight.charge.rows if flight.charge else ())

    def spent(self, records: Iterable[UsageRecord]) -> None:
        """Take note of records in the outbox that stand in the budgets already."""
        self._add(spendings(records))

    def is_budgeted(self, record: UsageRecord) -> bool:
        """Whether a budget counts what a record says."""
        named = limit_ids(record.key, record.project, record.model)
        return any(limit in self._budgets for limit in named)

    def _catch_up(self, record: UsageRecord, charged: tuple[int, ...]) -> None:
        words = self._table.words
        for limit in limit_ids(record.key, record.project, record.model):
            row = self._budgets.get(limit)
            if row is None or row in charged:
                continue
            if record.at_us >= words[self._table.at(row) + SINCE]:
                self._table.spend(row, nanos(record.cost))

    def _add(self, spent: Iterable[Spent]) -> None:
        for each in spent:
            hours = self._spent.setdefault(each.limit, {})
            hours[each.hour] = hours.get(each.hour, 0) + each.amount
