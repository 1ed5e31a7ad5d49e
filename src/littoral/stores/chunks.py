"""Control's chunks of records in ``records.db``: bounded by days and bytes, made anew if damaged.

What is in it comes from the ledger, so a damaged file is set aside and filled again from there.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import apsw

from littoral.domain.chunk import Chunk, ChunkId, ChunkLevel, Stretch, Taken
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId, RequestId
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Sink
from littoral.domain.units import Bytes, Micros
from littoral.stores.database import Database
from littoral.stores.sqlite import META, Row, Step, run

DAYS: Final = 400
MOST: Final = Bytes(512 << 20)
"""Bytes of all bodies: some ten million records."""
STEPS: tuple[Step, ...] = (
    (
        META,
        """\
create table chunk(
  day integer not null, node text not null, model text not null, part integer not null,
  first_us integer not null, last_us integer not null, count integer not null,
  size integer not null, body blob not null, primary key(day, node, model, part)
) strict""",
        "create index chunk_size on chunk(day, size)",
        """\
create table taken(
  one integer primary key check (one = 1), number integer not null, request text not null,
  attempt integer not null
) strict""",
    ),
)
_COLUMNS = "day, node, model, part, first_us, last_us, count, body"
TAKEN = "select number, request, attempt from taken"
MOVE = "insert or replace into taken values(1, ?, ?, ?)"
PUT = "insert or replace into chunk values(?, ?, ?, ?, ?, ?, ?, ?, ?)"
LAST = f"""\
select {_COLUMNS} from chunk where day = ? and node = ? and model = ?
order by part desc limit 1"""  # noqa: S608  ours
FOUND = f"""\
select {_COLUMNS} from chunk
where (day, node, model, part) > (:day, :after, :what, :part)
  and first_us < :until and last_us >= :since
  and (:node = '' or node = :node) and (:model = '' or model = :model)
order by day, node, model, part limit 1"""  # noqa: S608  ours
LEVEL = "select count(*), coalesce(sum(count), 0), sum(size), min(first_us) from chunk"
SIZES = "select day, sum(size) from chunk group by day order by day desc"
DROP = "delete from chunk where day <= ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How much is kept: days, and bytes of bodies."""

    days: int = DAYS
    most: Bytes = MOST


USUAL: Final = Kept()


class SqliteChunks:
    """Adapter of ``ChunkStore``. Made by ``open``; any thread may call it."""

    def __init__(self, database: Database, kept: Kept) -> None:
        self._database = database
        self._kept = kept

    @classmethod
    @contextmanager
    def open(
        cls, path: str, *, clock: Clock, sink: Sink, kept: Kept = USUAL
    ) -> Generator["SqliteChunks"]:
        """Open the file at ``path`` for as long as the context lasts.

        A damaged file is set aside and told of; the store then begins empty.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
        """
        database = Database(path, STEPS)
        try:
            database.open()
        except Damaged as error:
            sink.emit(_set_aside(path, error, now_us=clock.wall()))
            database.open()
        try:
            yield cls(database, kept)
        finally:
            database.close()

    def taken(self) -> Taken:
        """How far the ledger's lines are in chunks."""
        rows = self._database.read(TAKEN)
        if not rows:
            return Taken()
        number, request, attempt = rows[0]
        return Taken(
            number=cast("int", number),
            request=RequestId(str(request)),
            attempt=cast("int", attempt),
        )

    def put(self, chunks: Sequence[Chunk], taken: Taken, *, today: int) -> None:
        """Keep chunks, each in place of the one of its name, and move on; both or neither."""

        def work(connection: apsw.Connection) -> None:
            for each in chunks:
                times = (each.first_us, each.last_us, each.count)
                run(connection, PUT, (*each.id, *times, len(each.body), each.body))
            run(connection, MOVE, (taken.number, taken.request, taken.attempt))
            drop = _surplus(run(connection, SIZES), self._kept, today)
            if drop is not None:
                run(connection, DROP, (drop,))

        self._database.write(work)

    def last(self, day: int, node: NodeId, model: str) -> Chunk | None:
        """The last part of a day, a node and a model."""
        rows = self._database.read(LAST, (day, node, model))
        return _chunk(rows[0]) if rows else None

    def chunks(self, wanted: Stretch, *, after: ChunkId, most: Bytes) -> Sequence[Chunk]:
        """Chunks behind ``after`` in the order of their names: one, and more up to ``most``."""
        found: list[Chunk] = []
        size = 0
        while size < most:
            day, node, model, part = after
            rows = self._database.read(
                FOUND,
                {
                    "day": day,
                    "after": node,
                    "what": model,
                    "part": part,
                    "since": wanted.since_us,
                    "until": wanted.until_us,
                    "node": wanted.node,
                    "model": wanted.model,
                },
            )
            if not rows:
                break
            found.append(_chunk(rows[0]))
            after, size = found[-1].id, size + len(found[-1].body)
        return found

    def level(self) -> ChunkLevel:
        """What is kept."""
        chunks, records, size, first_us = self._database.read(LEVEL)[0]
        return ChunkLevel(
            chunks=cast("int", chunks),
            records=cast("int", records),
            size=Bytes(cast("int", size or 0)),
            first_us=cast("int", first_us or 0),
        )

    def clear(self) -> None:
        """Forget everything."""

        def work(connection: apsw.Connection) -> None:
            run(connection, "delete from chunk")
            run(connection, "delete from taken")

        self._database.write(work)


def _chunk(row: Row) -> Chunk:
    day, node, model, part, first_us, last_us, count, body = row
    return Chunk(
        id=ChunkId(cast("int", day), NodeId(str(node)), str(model), cast("int", part)),
        first_us=cast("int", first_us),
        last_us=cast("int", last_us),
        count=cast("int", count),
        body=cast("bytes", body),
    )


def _surplus(sizes: Sequence[Row], kept: Kept, today: int) -> int | None:
    """The last day that goes, of days with their bytes, the latest first; None where none does."""
    latest = cast("int", sizes[0][0]) if sizes else 0
    oldest, whole = min(latest, today) - kept.days, 0
    for day, size in cast("Sequence[tuple[int, int]]", sizes):
        whole += size
        if day <= oldest or (whole > kept.most and day < latest):
            return day
    return None


def _set_aside(path: str, error: Damaged, *, now_us: Micros) -> Event:
    """Move a damaged file away; returns what to tell people."""
    aside = f"{path}.damaged-{now_us}"
    Path(path).replace(aside)
    for rest in ("-wal", "-shm"):
        Path(path + rest).unlink(missing_ok=True)
    return Event(
        at_us=now_us,
        level="error",
        subject="records",
        code="records.damaged",
        message=f"{error.message}; it was set aside as {Path(aside).name}, and is made anew",
    )
