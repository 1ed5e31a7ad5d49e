"""Stored responses on SQLite, in one file of their own."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, fields
from typing import cast

import apsw
import msgspec

from littoral.domain.errors import Conflict, TooLarge, UnknownName
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Clock, Sink
from littoral.domain.response import MAX_THREAD, ROW, UNDER_WAY, StoredResponse, check_part
from littoral.domain.units import Bytes
from littoral.stores import sqlite
from littoral.stores.grouped import GroupedFile, Layout
from littoral.stores.sqlite import Bindings, Row, run

NAMES = tuple(field.name for field in fields(StoredResponse))
TABLE = """\
create table response(
  id text primary key, project text not null, key text not null, created_us integer not null,
  expires_us integer not null, status text not null, reason text not null, background integer
  not null, streamed integer not null, previous text not null, runs integer not null, input blob
  not null, body blob not null, asked blob not null, events blob not null
) strict"""
EXPIRY = "create index response_expiry on response(expires_us)"
STATUS = "create index response_status on response(status) where status in ('queued','in_progress')"
HELD = "create table held(project text primary key, bytes integer not null) strict"
SIZE = f"length({{0}}input) + length({{0}}body) + length({{0}}asked) + length({{0}}events) + {ROW}"
ENTER = f"""\
create trigger response_enter after insert on response begin
  insert into held values(new.project, {SIZE.format("new.")})
  on conflict(project) do update set bytes = bytes + excluded.bytes; end"""
LEAVE = f"""\
create trigger response_leave after delete on response begin
  update held set bytes = bytes - ({SIZE.format("old.")}) where project = old.project; end"""  # noqa: S608  a number of our own
FIRST_HELD = (
    f"insert into held select project, sum({SIZE.format('')}) from response group by project"  # noqa: S608  a number of our own
)
STEPS: tuple[sqlite.Step, ...] = (
    (sqlite.META, TABLE, EXPIRY, STATUS),
    (HELD, ENTER, LEAVE, FIRST_HELD),
)
HOLDS = f"""\
select coalesce((select bytes from held where project = ?), 0)
  - coalesce((select {SIZE.format("")} from response where id = ?), 0)"""  # noqa: S608  a number of our own
PUT = f"insert or replace into response({', '.join(NAMES)}) values({', '.join('?' * len(NAMES))})"
ALL = f"select {', '.join(NAMES)} from response"  # noqa: S608  names of our own fields
OWNER = "select project from response where id = ?"
GET = f"{ALL} where id = ? and project = ? and expires_us > ?"
STANDS = "select status from response where id = ? and project = ?"
OPEN = f"{ALL} where status in ('queued', 'in_progress') and expires_us > ? order by created_us, id"
DELETE = "delete from response where id = ? and project = ?"
SWEEP = "delete from response where id in (select id from response where expires_us <= ? limit 500)"
LAYOUT = Layout(
    subject="responses", code="responses.damaged", contents="stored responses", steps=STEPS
)


class SqliteResponses:
    """Adapter of ``ResponseStore``; made by ``open``."""

    def __init__(self, file: GroupedFile, *, clock: Clock, most: Bytes) -> None:
        self._file = file
        self._clock = clock
        self._most = most

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str, *, clock: Clock, sink: Sink, most: Bytes
    ) -> AsyncGenerator["SqliteResponses"]:
        """Open the file at ``path`` for as long as the context lasts; see ``GroupedFile.open``."""
        async with GroupedFile.open(path, LAYOUT, clock=clock, sink=sink, most=most) as file:
            yield cls(file, clock=clock, most=most)

    async def put(self, response: StoredResponse, *, part: float = 1.0) -> None:
        """Keep a response; one of the same id and project is replaced."""
        most = int(self._most * part)

        def step(connection: apsw.Connection) -> None:
            owner = run(connection, OWNER, (response.id,))
            if owner and owner[0][0] != response.project:
                raise Conflict(f"response {response.id!r} is another project's")
            if part < 1.0:
                (held,) = run(connection, HOLDS, (response.project, response.id))[0]
                check_part(response, cast("int", held), most=most)
            run(connection, PUT, _values(response))

        await self._file.do(step)

    async def advance(self, response: StoredResponse) -> bool:
        """Replace a response that is still under way; False where it is not, or not there."""

        def step(connection: apsw.Connection) -> bool:
            found = run(connection, STANDS, (response.id, response.project))
            if not found or found[0][0] not in UNDER_WAY:
                return False
            run(connection, PUT, _values(response))
            return True

        return await self._file.do(step)

    async def get(self, project: ProjectId, response: str) -> StoredResponse | None:
        """The response, where the project has it."""
        now = self._clock.wall()
        return await self._file.do(lambda connection: _get(connection, (response, project, now)))

    async def thread(self, project: ProjectId, response: str) -> Sequence[StoredResponse]:
        """The response and those it continues, oldest first."""
        now = self._clock.wall()

        def step(connection: apsw.Connection) -> list[StoredResponse]:
            found: list[StoredResponse] = []
            size, name = 0, response
            while name:
                each = _get(connection, (name, project, now))
                if each is None:
                    raise UnknownName(f"no stored response {name!r}; it may have expired")
                size += each.size
                if size > MAX_THREAD:
                    raise TooLarge(f"the conversation is over {MAX_THREAD} bytes")
                found.append(each)
                name = each.previous
            return found[::-1]

        return await self._file.do(step)

    async def delete(self, project: ProjectId, response: str) -> bool:
        """Drop it; False where it was not there."""

        def step(connection: apsw.Connection) -> bool:
            run(connection, DELETE, (response, project))
            return connection.changes() > 0

        return await self._file.do(step)

    async def under_way(self) -> Sequence[StoredResponse]:
        """All that have not ended, oldest first."""
        now = self._clock.wall()
        return await self._file.do(lambda connection: _rows(connection, OPEN, (now,)))

    async def sweep(self) -> int:
        """Drop those whose time is over; returns how many."""
        now, count = self._clock.wall(), 0

        def step(connection: apsw.Connection) -> int:
            run(connection, SWEEP, (now,))
            return connection.changes()

        while dropped := await self._file.do(step):
            count += dropped
        return count


def _get(connection: apsw.Connection, bindings: Bindings) -> StoredResponse | None:
    rows = _rows(connection, GET, bindings)
    return rows[0] if rows else None


def _rows(connection: apsw.Connection, query: str, bindings: Bindings) -> list[StoredResponse]:
    return [_response(row) for row in run(connection, query, bindings)]


def _response(row: Row) -> StoredResponse:
    return msgspec.convert(dict(zip(NAMES, row, strict=True)), StoredResponse, strict=False)


def _values(response: StoredResponse) -> tuple[sqlite.Value, ...]:
    return cast("tuple[sqlite.Value, ...]", astuple(response))
