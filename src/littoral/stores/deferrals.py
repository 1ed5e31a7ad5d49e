"""Deferrals on SQLite, in one file of their own; bodies and answers are sealed.

The key lies in a file beside: a copy of the database alone, such as a backup or a disk block that
was freed, tells nobody what was asked. Each project has a key of its own, made from that one.
"""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast

import apsw
import msgspec

from littoral.domain.deferral import DEFERRAL_ROW, Deferral, Holding, Room, check_held
from littoral.domain.errors import Conflict, StorageFull
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Clock, Entropy, Sink
from littoral.domain.units import Bytes
from littoral.domain.usage import UsageRecord
from littoral.stores import sqlite
from littoral.stores.grouped import GroupedFile, Layout
from littoral.stores.sqlite import Bindings, Row, Value, run
from littoral.trust import envelope

NAMES = tuple(field.name for field in fields(Deferral))
LIGHT = ", ".join("x''" if name in {"body", "answer"} else name for name in NAMES)
WHOLE = ", ".join(NAMES)
TABLE = """\
create table deferral(
  number integer primary key autoincrement, id text not null unique, project text not null,
  key text not null, path text not null, model text not null, accepted_us integer not null,
  expires_us integer not null, keep_us integer not null, level integer, idempotency text not null,
  digest text not null, state text not null, reason text not null, runs integer not null,
  ended_us integer, media text not null, body blob not null, answer blob not null, usage blob,
  booked integer not null, size integer not null
) strict"""
ONCE = """\
create unique index deferral_once on deferral(project, idempotency) where idempotency <> ''"""
HELD = "create index deferral_held on deferral(project, state, size)"
UNBOOKED = (
    "create index deferral_unbooked on deferral(number) where usage is not null and not booked"
)
SUM = """\
create table held(
  project text primary key, waiting integer not null, bytes integer not null
) strict"""
ENTER = """\
create trigger deferral_enter after insert on deferral begin
  insert into held values(new.project, new.state in ('queued', 'running'), new.size)
  on conflict(project) do update
  set waiting = waiting + excluded.waiting, bytes = bytes + excluded.bytes; end"""
LEAVE = """\
create trigger deferral_leave after delete on deferral begin
  update held set waiting = waiting - (old.state in ('queued', 'running')), bytes = bytes - old.size
  where project = old.project; end"""
CHANGE = """\
create trigger deferral_change after update of state, size on deferral begin
  update held set bytes = bytes - old.size + new.size,
  waiting = waiting - (old.state in ('queued', 'running')) + (new.state in ('queued', 'running'))
  where project = new.project; end"""
FIRST = """\
insert into held select project, sum(state in ('queued', 'running')), sum(size)
from deferral group by project"""
LAYOUT = Layout(
    subject="deferrals",
    code="deferrals.damaged",
    contents="deferred requests",
    steps=(
        (sqlite.META, TABLE, ONCE, HELD, UNBOOKED),
        (SUM, ENTER, LEAVE, CHANGE, FIRST),
    ),
)
_IS_AHEAD = "state in ('queued', 'running')"
# The values below are names of our own fields, never text from outside.
_PUT = (*(name for name in NAMES if name != "number"), "size")
PUT = f"insert into deferral({', '.join(_PUT)}) values({', '.join(':' + n for n in _PUT)})"
SUMS = "select project, waiting, bytes from held"
BY_KEY = f"select {WHOLE} from deferral where project = ? and idempotency = ? and idempotency <> ''"  # noqa: S608  names of our own fields
GET = f"select {WHOLE} from deferral where project = ? and id = ?"  # noqa: S608  names of our own fields
ONE = f"select {WHOLE} from deferral where id = ?"  # noqa: S608  names of our own fields
PAGE = f"select {LIGHT} from deferral where project = ? and number < ? order by number desc limit ?"  # noqa: S608  names of our own fields
AHEAD_OF_ALL = f"select {LIGHT} from deferral where {_IS_AHEAD} order by number"  # noqa: S608  names of our own fields
LEFT = f"select {LIGHT} from deferral where usage is not null and not booked order by number"  # noqa: S608  names of our own fields
BEGIN = f"update deferral set state = 'running', runs = runs + 1 where id = ? and {_IS_AHEAD}"  # noqa: S608  a condition of our own
BACK = f"""\
update deferral set state = 'queued', reason = ?, runs = max(runs - ?, 0)
where id = ? and {_IS_AHEAD}"""  # noqa: S608  a condition of our own
END = f"""\
update deferral set state = :state, reason = :reason, ended_us = :ended_us, keep_us = :keep_us,
  media = :media, body = x'', answer = :answer, usage = :usage, size = :size
where id = :id and {_IS_AHEAD}"""  # noqa: S608  a condition of our own
BOOKED = "update deferral set booked = 1 where id = ?"
DELETE = "delete from deferral where project = ? and id = ?"
PURGE = "delete from deferral where project = ?"
PROJECTS = "select distinct project from deferral"
SWEEP = f"""\
delete from deferral where number in (
  select number from deferral where keep_us <= ? and not {_IS_AHEAD}
  and (usage is null or booked) limit 500)"""  # noqa: S608  a condition of our own
LAST = (1 << 63) - 1
_USAGE = msgspec.json.Decoder(UsageRecord).decode
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralFile:
    """Where deferrals are.

    ``key`` are 32 secret bytes, ``most`` the bytes that the file may have, ``spare`` the part of
    the disk that is left to others.
    """

    path: str
    key: bytes
    most: Bytes
    spare: float = 0.05


class SqliteDeferrals:
    """Adapter of ``DeferralStore``; made by ``open``."""

    def __init__(
        self, file: GroupedFile, place: DeferralFile, *, clock: Clock, entropy: Entropy
    ) -> None:
        self._file = file
        self._place = place
        self._clock = clock
        self._entropy = entropy

    @classmethod
    @asynccontextmanager
    async def open(
        cls, place: DeferralFile, *, clock: Clock, entropy: Entropy, sink: Sink
    ) -> AsyncGenerator["SqliteDeferrals"]:
        """Open the file for as long as the context lasts; see ``GroupedFile.open``."""
        async with GroupedFile.open(
            place.path, LAYOUT, clock=clock, sink=sink, most=place.most
        ) as file:
            yield cls(file, place, clock=clock, entropy=entropy)

    async def accept(self, deferral: Deferral, *, room: Room) -> Deferral:
        """Keep one more; returns it with its number, or the one that has its idempotency key."""
        self._check_disk()

        def step(connection: apsw.Connection) -> Deferral:
            same = deferral.project, deferral.idempotency
            known = self._one(connection, BY_KEY, same) if deferral.idempotency else None
            if known is not None:
                if known.digest != deferral.digest:
                    raise Conflict(
                        f"the idempotency key {deferral.idempotency!r} came with another body; "
                        "use each for one request"
                    )
                return known
            check_held(deferral, *_held(connection, deferral.project), room=room)
            run(connection, PUT, self._values(deferral))
            return replace(deferral, number=connection.last_insert_rowid())

        return await self._file.do(step)

    async def known(self, project: ProjectId, idempotency: str) -> Deferral | None:
        """The deferral that came with an idempotency key, where there is one."""
        return await self._file.do(lambda file: self._one(file, BY_KEY, (project, idempotency)))

    async def begin(self, name: str) -> Deferral | None:
        """Count a run of one that is ahead, and return it whole; None where it is not."""

        def step(connection: apsw.Connection) -> Deferral | None:
            if not _changes(connection, BEGIN, (name,)):
                return None
            return self._one(connection, ONE, (name,))

        return await self._file.do(step)

    async def hand_back(self, name: str, reason: str, *, counted: bool) -> bool:
        """Let one wait again; without ``counted`` its run does not count."""
        values = (reason, 0 if counted else 1, name)
        return await self._file.do(lambda file: _changes(file, BACK, values) > 0)

    async def end(self, deferral: Deferral) -> bool:
        """Write how one ended; False, and nothing written, where it had ended or is gone."""
        named = self._values(replace(deferral, body=b""))
        names = ("state", "reason", "ended_us", "keep_us", "media", "answer", "usage", "size", "id")
        values = {name: named[name] for name in names}
        return await self._file.do(lambda file: _changes(file, END, values) > 0)

    async def booked(self, name: str) -> None:
        """Take note that its usage is in the outbox."""
        await self._file.do(lambda file: _changes(file, BOOKED, (name,)))

    async def get(self, project: ProjectId, name: str) -> Deferral | None:
        """One deferral, where the project has it."""
        return await self._file.do(lambda file: self._one(file, GET, (project, name)))

    async def page(self, project: ProjectId, *, before: int, limit: int) -> Sequence[Deferral]:
        """Deferrals of a project of lower numbers than ``before`` (0: of all), the last first."""
        return await self._many(PAGE, (project, before or LAST, limit))

    async def ahead(self) -> Sequence[Deferral]:
        """All that have not ended, without bodies, the first one first."""
        return await self._many(AHEAD_OF_ALL, ())

    async def unbooked(self) -> Sequence[Deferral]:
        """All whose usage is not in the outbox yet, without answers."""
        return await self._many(LEFT, ())

    async def delete(self, project: ProjectId, name: str) -> bool:
        """Drop one; False where it was not there."""
        return await self._file.do(lambda file: _changes(file, DELETE, (project, name)) > 0)

    async def projects(self) -> Sequence[ProjectId]:
        """Whose deferrals are kept."""
        rows = await self._file.do(lambda file: run(file, PROJECTS))
        return [ProjectId(cast("str", name)) for (name,) in rows]

    async def purge(self, project: ProjectId) -> int:
        """Drop everything of a project; returns how many."""
        return await self._file.do(lambda file: _changes(file, PURGE, (project,)))

    async def sweep(self) -> int:
        """Drop those that have ended and whose time is over; returns how many."""
        now, count = self._clock.wall(), 0
        while dropped := await self._file.do(lambda file: _changes(file, SWEEP, (now,))):
            count += dropped
        return count

    # rows

    def _check_disk(self) -> None:
        figures = os.statvfs(Path(self._place.path).parent)
        if figures.f_bavail < figures.f_blocks * self._place.spare:
            raise StorageFull(
                f"less than {self._place.spare:.0%} of this node's disk is free: no request can be "
                "deferred until there is room"
            )

    async def _many(self, query: str, bindings: Bindings) -> list[Deferral]:
        rows = await self._file.do(lambda file: run(file, query, bindings))
        return [self._deferral(row) for row in rows]

    def _one(self, connection: apsw.Connection, query: str, bindings: Bindings) -> Deferral | None:
        rows = run(connection, query, bindings)
        return self._deferral(rows[0]) if rows else None

    def _values(self, deferral: Deferral) -> dict[str, Value]:
        usage = None if deferral.usage is None else _ENCODE(deferral.usage)
        return {
            **{name: cast("Value", getattr(deferral, name)) for name in NAMES},
            "usage": usage,
            "booked": int(deferral.booked),
            "body": self._sealed(deferral, "body", deferral.body),
            "answer": self._sealed(deferral, "answer", deferral.answer),
            "size": deferral.size + DEFERRAL_ROW,
        }

    def _deferral(self, row: Row) -> Deferral:
        named = dict(zip(NAMES, row, strict=True))
        usage = cast("bytes | None", named.pop("usage"))
        found = msgspec.convert(named, Deferral, strict=False)
        return replace(
            found,
            usage=None if usage is None else _USAGE(usage),
            body=self._opened(found, "body", found.body),
            answer=self._opened(found, "answer", found.answer),
        )

    def _sealed(self, deferral: Deferral, column: str, plain: bytes) -> bytes:
        if not plain:
            return b""
        nonce = self._entropy.bytes(envelope.NONCE_BYTES)
        key, place = self._key_of(deferral.project), _place_of(deferral, column)
        return envelope.seal(plain, key=key, place=place, nonce=nonce)

    def _opened(self, deferral: Deferral, column: str, sealed: bytes) -> bytes:
        if not sealed:
            return b""
        key, place = self._key_of(deferral.project), _place_of(deferral, column)
        return envelope.unseal(sealed, key=key, place=place)

    def _key_of(self, project: ProjectId) -> bytes:
        return envelope.derive(self._place.key, purpose=f"deferrals/{project}")


def _place_of(deferral: Deferral, column: str) -> tuple[str, ...]:
    return deferral.project, "deferral", deferral.id, column


def _changes(connection: apsw.Connection, query: str, bindings: Bindings) -> int:
    run(connection, query, bindings)
    return connection.changes()


def _held(connection: apsw.Connection, project: ProjectId) -> tuple[Holding, Holding]:
    """What all projects have, and what one has."""
    rows = cast("list[tuple[str, int, int]]", run(connection, SUMS))
    return _sum(rows), _sum([row for row in rows if row[0] == project])


def _sum(rows: Sequence[tuple[str, int, int]]) -> Holding:
    return Holding(count=sum(row[1] for row in rows), size=Bytes(sum(row[2] for row in rows)))
