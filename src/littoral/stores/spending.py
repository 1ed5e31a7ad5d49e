"""What usage records cost, by limit id and hour: kept in the outbox, written with the records.

It stays when the records are gone, so that budgets survive whatever the records survive.
"""

from collections.abc import Iterable

import apsw

from littoral.domain.limits import Spent, spendings
from littoral.domain.units import HOUR_US
from littoral.domain.usage import UsageRecord
from littoral.stores.sqlite import Row, run, run_many

TABLE = """\
create table spent(
  scope text not null, hour integer not null, amount integer not null, primary key(scope, hour)
) without rowid, strict"""
ADD = """\
insert into spent values(?, ?, ?)
on conflict(scope, hour) do update set amount = amount + excluded.amount"""
FOLD = """\
insert into spent select scope, 0, sum(amount) from spent where hour between 1 and ? group by scope
on conflict(scope, hour) do update set amount = amount + excluded.amount"""
DROP = "delete from spent where hour between 1 and ?"
ALL = "select scope, hour, amount from spent"
KEPT_HOURS = 24 * 32
"""Hours kept apart: as many as the longest month has, and a day."""


def add(connection: apsw.Connection, records: Iterable[UsageRecord]) -> None:
    """Count records that were just written, in the same transaction."""
    rows = [(each.limit, each.hour, each.amount) for each in spendings(records)]
    if rows:
        run_many(connection, ADD, rows)


def fold(connection: apsw.Connection, now_us: int) -> None:
    """Sum up hours that no period but the total one needs; inside a transaction."""
    last = now_us // HOUR_US - KEPT_HOURS
    run(connection, FOLD, (last,))
    run(connection, DROP, (last,))


def read(connection: apsw.Connection) -> list[Spent]:
    """Everything."""
    return [_spent(row) for row in run(connection, ALL)]


def restore(connection: apsw.Connection, rows: Iterable[Row]) -> None:
    """Write rows that another file held."""
    run_many(connection, ADD, [tuple(row) for row in rows])


def _spent(row: Row) -> Spent:
    scope, hour, amount = row
    if not isinstance(hour, int) or not isinstance(amount, int):
        raise apsw.CorruptError(f"{row!r} is no spending")
    return Spent(limit=str(scope), hour=hour, amount=amount)
