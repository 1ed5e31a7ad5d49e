"""Control's book of usage in ``ledger.db``: every record applied once, sums to the token."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import cast

import apsw
import msgspec
from sqlalchemy import Select, bindparam, func, literal_column, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.types import Integer, Text

from littoral.domain.chunk import Line
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.outbox import Batch, Mark, Receipt, judge, receipt
from littoral.domain.ports import Failpoints
from littoral.domain.units import DAY_US, Micros
from littoral.domain.usage import UsageRecord, UsageSum
from littoral.stores.body import NAMES
from littoral.stores.database import Database
from littoral.stores.schema import CURSOR, LEDGER_STEPS, LINE, compiled
from littoral.stores.sqlite import Row, Value, run

EPOCH_DAY = date(1970, 1, 1).toordinal()
GROUPS = ("project", "key", "model", "day", "node", "tag")
SUMMED = ("tokens_in", "tokens_cached", "tokens_out", "cost", "estimated")
LEAST, MOST = -(1 << 63), (1 << 63) - 1

READ_CURSOR = compiled(
    select(CURSOR.c.stored, CURSOR.c.mac).where(
        CURSOR.c.node == bindparam("node"), CURSOR.c.outbox == bindparam("outbox")
    )
)
_move = insert(CURSOR)
MOVE_CURSOR = compiled(
    _move.on_conflict_do_update(
        index_elements=["node", "outbox"],
        set_={"stored": _move.excluded.stored, "mac": _move.excluded.mac},
    )
)
ADD = compiled(insert(LINE).on_conflict_do_nothing(index_elements=["request", "attempt"]))
_fields = cast(Select[object], select(*(LINE.c[name] for name in NAMES)))
_number = literal_column("line.rowid", type_=Integer)
"""Lines are only ever added, so that SQLite numbers them without gaps, in any copy of the file."""
_whose = bindparam("project", type_=Text)
LATEST = compiled(
    _fields.where(
        LINE.c.at_us < bindparam("until"), or_(_whose.is_(None), LINE.c.project == _whose)
    )
    .order_by(LINE.c.at_us.desc(), LINE.c.request, LINE.c.attempt)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)
SINCE = compiled(
    cast(Select[object], select(_number, LINE.c.node, *(LINE.c[name] for name in NAMES)))
    .where(_number > bindparam("number"))
    .order_by(_number)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)
RECORD = compiled(_fields.where(LINE.c.request == bindparam("request")).order_by(LINE.c.attempt))


class SqliteLedger:
    """Adapter of ``Ledger``. Made by ``open``; any thread may call it."""

    def __init__(self, database: Database, failpoints: Failpoints) -> None:
        self._database = database
        self._failpoints = failpoints
        self._sums: dict[tuple[str, ...], str] = {}

    @classmethod
    @contextmanager
    def open(cls, path: str, *, failpoints: Failpoints) -> Generator["SqliteLedger"]:
        """Open the file at ``path`` for as long as the context lasts.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
            Damaged: It is damaged; nothing was changed.
        """
        with Database.opened(path, LEDGER_STEPS) as database:
            yield cls(database, failpoints)

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply what follows the cursor, in one transaction; returns what became of it."""
        where = {"node": node, "outbox": outbox}

        def work(connection: apsw.Connection) -> Receipt:
            before = mark_of(run(connection, READ_CURSOR, where))
            judgement, rows = judge(before, batch)
            done = receipt(judgement, rows, before)
            for row in rows:
                if row.usage is not None:
                    run(connection, ADD, where | _columns(row.seq, row.usage))
            if done.mark != before:
                moved = {"stored": done.mark.seq, "mac": done.mark.mac, "safe": 0}
                run(connection, MOVE_CURSOR, where | moved)
            return done

        done = self._database.write(work)
        self._failpoints.hit("records.applied")
        return done

    def cursor(self, node: NodeId, outbox: str) -> Mark:
        """How far an outbox is applied."""
        return mark_of(self._database.read(READ_CURSOR, {"node": node, "outbox": outbox}))

    def sums(
        self,
        *,
        by: Sequence[str],
        since_us: Micros | None = None,
        until_us: Micros | None = None,
        project: ProjectId | None = None,
        key: KeyId | None = None,
    ) -> Sequence[UsageSum]:
        """Sums of records from ``since_us`` to before ``until_us``, grouped and ordered by ``by``.

        ``requests`` counts requests, not attempts.

        Raises:
            InvalidInput: ``by`` names something that cannot be grouped by.
        """
        groups = tuple(dict.fromkeys(by))
        if groups not in self._sums:
            self._sums[groups] = _compose(groups)
        bindings: Mapping[str, Value] = {
            "since": LEAST if since_us is None else since_us,
            "until": MOST if until_us is None else until_us,
            "project": project,
            "key": key,
        }
        rows = self._database.read(self._sums[groups], bindings)
        return [_sum(groups, row) for row in rows]

    def record(self, request: str) -> Sequence[UsageRecord]:
        """Every attempt of one request, in order."""
        return [_record(row) for row in self._database.read(RECORD, {"request": request})]

    def latest(
        self, *, limit: int, until_us: Micros | None = None, project: ProjectId | None = None
    ) -> Sequence[UsageRecord]:
        """At most ``limit`` records that began before ``until_us``, the latest first."""
        until = MOST if until_us is None else until_us
        found = {"until": until, "project": project, "limit": limit}
        return [_record(row) for row in self._database.read(LATEST, found)]

    def since(self, number: int, limit: int) -> Sequence[Line]:
        """At most ``limit`` lines behind a number, in the order in which they were applied."""
        rows = self._database.read(SINCE, {"number": number, "limit": limit})
        return [
            Line(number=cast("int", row[0]), node=NodeId(str(row[1])), usage=_record(row[2:]))
            for row in rows
        ]


def _compose(groups: Sequence[str]) -> str:
    for name in groups:
        if name not in GROUPS:
            raise InvalidInput(
                f"usage cannot be grouped by {name!r}; known: {', '.join(GROUPS)}", param="by"
            )
    columns = [LINE.c[name] for name in groups]
    project, key = bindparam("project", type_=Text), bindparam("key", type_=Text)
    sums = [func.sum(LINE.c[name]) for name in SUMMED]
    requests = func.count(LINE.c.request.distinct())
    chosen = cast(Select[object], select(*columns, requests, *sums))
    return compiled(
        chosen.where(
            LINE.c.at_us >= bindparam("since"),
            LINE.c.at_us < bindparam("until"),
            or_(project.is_(None), LINE.c.project == project),
            or_(key.is_(None), LINE.c.key == key),
        )
        .group_by(*columns)
        .having(func.count() > literal_column("0"))
        .order_by(*columns)
    )


def mark_of(rows: Sequence[Row]) -> Mark:
    """The mark in a row of number and mac; where there is none, nothing is applied yet."""
    return Mark(seq=cast("int", rows[0][0]), mac=cast("bytes", rows[0][1])) if rows else Mark()


def _columns(seq: int, record: UsageRecord) -> dict[str, Value]:
    values = {name: cast("Value", getattr(record, name)) for name in NAMES}
    values |= {"streamed": int(record.streamed), "estimated": int(record.estimated)}
    return values | {"seq": seq, "day": record.at_us // DAY_US}


def _record(row: Row) -> UsageRecord:
    values = dict(zip(NAMES, row, strict=True))
    values |= {"streamed": bool(values["streamed"]), "estimated": bool(values["estimated"])}
    return msgspec.convert(values, UsageRecord)


def _sum(groups: Sequence[str], row: Row) -> UsageSum:
    values: dict[str, Value] = dict(zip((*groups, "requests", *SUMMED), row, strict=True))
    if "day" in values:
        values["day"] = date.fromordinal(EPOCH_DAY + cast("int", values["day"])).isoformat()
    return msgspec.convert(values, UsageSum)
