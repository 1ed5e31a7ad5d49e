"""Limits: which row of the quota table counts which limit, and what was spent before.

The node gives rows to limits, puts into them what its outbox says was spent, and settles for a
gateway that died. It counts nothing else: gateways do, while they live.
"""

from collections.abc import Iterable, Mapping

import anyio

from littoral.domain.flight import Flight
from littoral.domain.limits import (
    HOUR_US,
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
    INTERVAL,
    PERIOD,
    REQUESTS,
    SINCE,
    TOKENS,
    UNTIL,
    Lost,
    QuotaTable,
    Use,
    names,
    rename,
)
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord
from littoral.trust.limit import per_minute

AGAIN = Seconds(0.002)
NO_PERIOD = "-"


class LimitRows:
    """The node's side of the quota table; column 0 is its own.

    A row belongs to a limit id and the period of its budget: another period is another row, which
    begins with the old one's rates.

    Args:
        table: The table, in which no gateway lives yet.
        clock: For periods, and for tokens that a dead gateway used.
    """

    def __init__(self, table: QuotaTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._names = names(table.words, table.rows)
        self._free = sorted(set(range(table.rows)) - set(self._names.values()), reverse=True)
        self._spent: dict[str, dict[int, int]] = {}
        self._rows: dict[str, int] = {}
        self._budgets: dict[str, int] = {}

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
        for word in range(at, at + PERIOD + 1):
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
        words[at + SINCE], words[at + UNTIL] = period_of(period, self._clock.wall())
        first = words[at + SINCE] // HOUR_US
        hours = self._spent.get(limit, {})
        self._table.spend(row, sum(money for hour, money in hours.items() if hour >= first))

    # when limits change

    def allot(self, limits: Mapping[str, Limits]) -> Mapping[str, int]:
        """Return the row of each limit; those for which none is left are missing."""
        rows: dict[str, int] = {}
        for limit, each in limits.items():
            period = each.budget.period if each.budget else NO_PERIOD
            row = self._row(limit, f"{limit}|{period}")
            if row is not None:
                rate = each.tokens_per_minute
                at = self._table.at(row)
                self._table.words[at + INTERVAL] = per_minute(rate)[0] if rate else 0
                rows[limit] = row
        self._rows = rows
        self._budgets = {limit: row for limit, row in rows.items() if limits[limit].budget}
        return rows

    def _row(self, limit: str, name: str) -> int | None:
        row = self._names.get(name)
        if row is not None or not self._free:
            return row
        row = self._names[name] = self._free.pop()
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
            now_ns=int(self._clock.now() * 1e9),
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
