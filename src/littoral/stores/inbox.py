"""Control's store of news in ``telemetry.db``: events, samples and measurements, each once."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import apsw
import msgspec

from littoral.domain.audit import Finding, Numbered, Vote
from littoral.domain.ids import NodeId
from littoral.domain.news import NumberedEvent, Wanted
from littoral.domain.node import Event
from littoral.domain.outbox import (
    LANES,
    LATEST_US,
    Batch,
    Lane,
    Mark,
    Receipt,
    Rollup,
    Row,
    judge,
    receipt,
)
from littoral.domain.ports import Failpoints
from littoral.domain.units import Micros
from littoral.stores.database import Database
from littoral.stores.ledger import mark_of
from littoral.stores.sqlite import META, Step, run
from littoral.stores.sqlite import Row as Columns

STEPS: tuple[Step, ...] = (
    (
        META,
        """\
create table cursor(
  node text not null, outbox text not null, lane integer not null, stored integer not null,
  mac blob not null, primary key(node, outbox, lane)
) strict""",
        """\
create table event(
  number integer primary key autoincrement, node text not null, at_us integer not null,
  level text not null, subject text not null, code text not null, message text not null,
  count integer not null, unique(node, at_us, code, subject)
) strict""",
        """\
create table rollup(
  node text not null, at_us integer not null, span_s integer not null, figures text not null,
  primary key(node, at_us)
) strict, without rowid""",
        """\
create table sample(
  request text primary key, node text not null, project text not null, at_us integer not null,
  sealed blob not null
) strict""",
    ),
    (
        """\
create table note(
  number integer primary key autoincrement, node text not null, kind text not null,
  body text not null
) strict""",
    ),
)
CURSOR = "select stored, mac from cursor where node = ? and outbox = ? and lane = ?"
CURSORS = "select lane, stored, mac from cursor where node = ? and outbox = ?"
MOVE = "insert or replace into cursor values(?, ?, ?, ?, ?)"
ADD_EVENT = """\
insert into event(node, at_us, level, subject, code, message, count) values(?, ?, ?, ?, ?, ?, ?)
on conflict do nothing"""
ADD_ROLLUP = "insert or replace into rollup values(?, ?, ?, ?)"
ADD_SAMPLE = "insert into sample values(?, ?, ?, ?, ?) on conflict do nothing"
EVENTS = """\
select number, node, at_us, level, subject, code, message, count from event
where number > :after and (:nodes is null or node in (select value from json_each(:nodes)))
  and (:code = '' or code = :code or (substr(:code, -1) = '.' and code glob :code || '*'))
  and (:level = '' or level = :level)
order by number desc limit :limit"""
ROLLUPS = """\
select at_us, span_s, figures from rollup where node = ? and at_us >= ? and at_us < ?
order by at_us desc limit ?"""
ADD_NOTE = "insert into note(node, kind, body) values(?, ?, ?)"
NOTED = "select coalesce(max(number), 0) from note"
NOTES = "select number, kind, body from note where number > ? order by number limit ?"
MOST_EVENTS, MOST_ROLLUPS, MOST_SAMPLES, MOST_NOTES = 100_000, 1_000_000, 100_000, 100_000
PRUNE = (
    f"delete from event where number <= (select max(number) from event) - {MOST_EVENTS}",  # noqa: S608  ours
    f"""\
delete from rollup where at_us < (
  select at_us from rollup order by at_us desc limit 1 offset {MOST_ROLLUPS})""",  # noqa: S608  ours
    f"""\
delete from sample where at_us < (
  select at_us from sample order by at_us desc limit 1 offset {MOST_SAMPLES})""",  # noqa: S608  ours
    f"delete from note where number <= (select max(number) from note) - {MOST_NOTES}",  # noqa: S608  ours
)
PRUNE_EVERY = 1000
"""Writes after which what is too much is dropped."""


class SqliteInbox:
    """Adapter of ``Inbox``. Made by ``open``; any thread may call it."""

    def __init__(self, database: Database, failpoints: Failpoints) -> None:
        self._database = database
        self._failpoints = failpoints
        self._writes = 0

    @classmethod
    @contextmanager
    def open(cls, path: str, *, failpoints: Failpoints) -> Generator["SqliteInbox"]:
        """Open the file at ``path`` for as long as the context lasts.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
            Damaged: It is damaged; nothing was changed.
        """
        with Database.opened(path, STEPS) as database:
            yield cls(database, failpoints)

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply what follows the cursor, in one transaction; returns what became of it."""
        where = (node, outbox, LANES.index(batch.lane))

        def work(connection: apsw.Connection) -> Receipt:
            before = mark_of(run(connection, CURSOR, where))
            judgement, rows = judge(before, batch)
            done = receipt(judgement, rows, before)
            for row in rows:
                _add(connection, node, row)
            if done.mark != before:
                run(connection, MOVE, (*where, done.mark.seq, done.mark.mac))
            self._prune(connection)
            return done

        done = self._database.write(work)
        self._failpoints.hit("records.applied")
        return done

    def cursors(self, node: NodeId, outbox: str) -> Mapping[Lane, Mark]:
        """How far each lane of an outbox is applied."""
        rows = self._database.read(CURSORS, (node, outbox))
        return {LANES[cast("int", row[0])]: mark_of([row[1:]]) for row in rows}

    def take(self, events: Sequence[Event]) -> None:
        """Keep events of control's own."""

        def work(connection: apsw.Connection) -> None:
            for event in events:
                _add_event(connection, "", event)
            self._prune(connection)

        self._database.write(work)

    def events(self, wanted: Wanted) -> Sequence[NumberedEvent]:
        """The last events that were asked for, oldest first."""
        nodes = None if wanted.nodes is None else json.dumps(wanted.nodes)
        bindings = {"after": wanted.after, "limit": wanted.limit, "nodes": nodes}
        bindings |= {"code": wanted.code, "level": wanted.level}
        return [_numbered(row) for row in reversed(self._database.read(EVENTS, bindings))]

    def noted(self) -> int:
        """The number of the last finding or vote."""
        return cast("int", self._database.read(NOTED, ())[0][0])

    def notes(self, after: int, *, limit: int) -> Sequence[Numbered]:
        """Findings and votes numbered above ``after``, in order."""
        return [_note(row) for row in self._database.read(NOTES, (after, limit))]

    def rollups(
        self, node: NodeId, *, limit: int, since_us: int = 0, until_us: int = LATEST_US
    ) -> Sequence[Rollup]:
        """The last measurements of a node from a moment to before another, oldest first."""
        found = self._database.read(ROLLUPS, (node, since_us, until_us, limit))
        return [_rollup(row) for row in reversed(found)]

    def _prune(self, connection: apsw.Connection) -> None:
        self._writes += 1
        if self._writes % PRUNE_EVERY == 1:
            for statement in PRUNE:
                run(connection, statement)


def _add(connection: apsw.Connection, node: NodeId, row: Row) -> None:
    if row.event is not None:
        _add_event(connection, node, row.event)
    if row.rollup is not None:
        figures = json.dumps(dict(row.rollup.figures))
        run(connection, ADD_ROLLUP, (node, row.rollup.at_us, row.rollup.span_s, figures))
    note = row.finding or row.vote
    if note is not None:
        kind = "vote" if row.finding is None else "finding"
        run(connection, ADD_NOTE, (node, kind, msgspec.json.encode(note).decode()))
    if row.sample is not None:
        sample = row.sample
        values = (sample.request, node, sample.project, sample.at_us, sample.sealed)
        run(connection, ADD_SAMPLE, values)


def _add_event(connection: apsw.Connection, node: str, event: Event) -> None:
    words = (event.level, event.subject, event.code, event.message)
    run(connection, ADD_EVENT, (node, event.at_us, *words, event.count))


def _numbered(row: Columns) -> NumberedEvent:
    number, node, *values = row
    names = ("at_us", "level", "subject", "code", "message", "count")
    event = msgspec.convert(dict(zip(names, values, strict=True)), Event)
    return NumberedEvent(number=cast("int", number), node=str(node), event=event)


def _note(row: Columns) -> Numbered:
    kind: type[Finding | Vote] = Vote if row[1] == "vote" else Finding
    note = msgspec.json.decode(str(row[2]), type=kind)
    return Numbered(number=cast("int", row[0]), note=note)


def _rollup(row: Columns) -> Rollup:
    figures = msgspec.json.decode(str(row[2]), type=dict[str, float])
    return Rollup(at_us=Micros(cast("int", row[0])), span_s=cast("int", row[1]), figures=figures)
