"""Control's resources, keys and facts in ``control.db``."""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar, cast

import apsw
import msgspec
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from littoral.domain.errors import Conflict
from littoral.domain.ids import KeyId
from littoral.domain.ports import Failpoints
from littoral.domain.project import Key
from littoral.domain.resource import SPECS, Kind, Metadata, Resource
from littoral.domain.units import Micros
from littoral.stores.database import Database
from littoral.stores.schema import CONTROL_STEPS, COUNTER, FACT, KEY, RESOURCE, compiled
from littoral.stores.sqlite import Row, run

T = TypeVar("T")
_Stored = tuple[Kind, str, int, str, str, int, int]

_ONE = RESOURCE.c.kind == bindparam("kind"), RESOURCE.c.name == bindparam("name")
GET = compiled(select(RESOURCE).where(*_ONE))
LIST = compiled(
    select(RESOURCE).where(RESOURCE.c.kind == bindparam("kind")).order_by(RESOURCE.c.name)
)
_put = insert(RESOURCE)
PUT = compiled(
    _put.on_conflict_do_update(
        index_elements=["kind", "name"],
        set_={name: _put.excluded[name] for name in ("version", "labels", "spec", "updated_us")},
    )
)
DELETE = compiled(delete(RESOURCE).where(*_ONE))
REVISION = compiled(select(COUNTER.c.value).where(COUNTER.c.name == bindparam("name")))
_count = insert(COUNTER)
COUNT = compiled(
    _count.on_conflict_do_update(
        index_elements=["name"], set_={"value": COUNTER.c.value + _count.excluded.value}
    )
)
ONE_MORE = {"name": "revision", "value": 1}
KEYS = compiled(select(KEY.c.body).order_by(KEY.c.created_us, KEY.c.id))
_put_key = insert(KEY)
PUT_KEY = compiled(
    _put_key.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "created_us": _put_key.excluded.created_us,
            "body": _put_key.excluded.body,
            "secret": func.coalesce(_put_key.excluded.secret, KEY.c.secret),
        },
    )
)
SECRET = compiled(select(KEY.c.secret).where(KEY.c.id == bindparam("id")))
VALUE = compiled(select(FACT.c.value).where(FACT.c.name == bindparam("name")))
VALUES = compiled(
    select(FACT.c.name, FACT.c.value)
    .where(FACT.c.name >= bindparam("first"), FACT.c.name < bindparam("behind"))
    .order_by(FACT.c.name)
)
_put_value = insert(FACT)
PUT_VALUE = compiled(
    _put_value.on_conflict_do_update(
        index_elements=["name"], set_={"value": _put_value.excluded.value}
    )
)
DROP_VALUE = compiled(delete(FACT).where(FACT.c.name == bindparam("name")))


class SqliteState:
    """Adapter of ``State``. Made by ``open``; any thread may call it."""

    def __init__(self, database: Database, failpoints: Failpoints) -> None:
        self._database = database
        self._failpoints = failpoints

    @classmethod
    @contextmanager
    def open(cls, path: str, *, failpoints: Failpoints) -> Generator["SqliteState"]:
        """Open the file at ``path`` for as long as the context lasts.

        Raises:
            Busy: Another process holds it.
            NewerData: A newer version wrote it.
            Damaged: It is damaged; nothing was changed.
        """
        with Database.opened(path, CONTROL_STEPS) as database:
            yield cls(database, failpoints)

    def get(self, kind: Kind, name: str) -> Resource | None:
        """One resource."""
        rows = self._database.read(GET, {"kind": kind, "name": name})
        return _resource(rows[0]) if rows else None

    def list(self, kind: Kind) -> Sequence[Resource]:
        """All of a kind, by name."""
        return [_resource(row) for row in self._database.read(LIST, {"kind": kind})]

    def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        """Create or replace; ``created_us`` stays what it was when it was created."""

        def work(connection: apsw.Connection) -> Resource:
            where = {"kind": resource.kind, "name": resource.metadata.name}
            rows = run(connection, GET, where)
            present = _resource(rows[0]) if rows else None
            version = present.version if present else 0
            if expected is not None and expected != version:
                raise Conflict(
                    f"{resource.kind} {resource.metadata.name!r} has version {version}, "
                    f"not {expected}: read it again"
                )
            created = present.created_us if present else resource.created_us
            written = replace(resource, version=version + 1, created_us=created)
            run(connection, PUT, _columns(written))
            run(connection, COUNT, ONE_MORE)
            return written

        return self._write(work)

    def delete(self, kind: Kind, name: str) -> bool:
        """Delete one resource; False where there was none."""
        return self._write(lambda c: _changed(c, DELETE, {"kind": kind, "name": name}))

    def revision(self) -> int:
        """A number that rises with every write here."""
        rows = self._database.read(REVISION, {"name": "revision"})
        return cast("int", rows[0][0]) if rows else 0

    def keys(self) -> Sequence[Key]:
        """All keys, oldest first."""
        rows = self._database.read(KEYS)
        return [msgspec.json.decode(cast("str", row[0]), type=Key) for row in rows]

    def put_key(self, key: Key, secret: bytes | None = None) -> None:
        """Write a key; ``secret`` is kept when None."""
        body = msgspec.json.encode(key).decode()
        row = {"id": key.id, "created_us": key.created_us, "body": body, "secret": secret}
        self._write(lambda c: _changed(c, PUT_KEY, row))

    def secret(self, key: KeyId) -> bytes | None:
        """The sealed secret that was stored with a key."""
        rows = self._database.read(SECRET, {"id": key})
        return cast("bytes | None", rows[0][0]) if rows else None

    def value(self, name: str) -> bytes | None:
        """A named fact."""
        rows = self._database.read(VALUE, {"name": name})
        return cast("bytes", rows[0][0]) if rows else None

    def put_value(self, name: str, value: bytes | None) -> None:
        """Write or (None) remove a named fact."""
        if value is None:
            self._write(lambda c: _changed(c, DROP_VALUE, {"name": name}))
        else:
            self._write(lambda c: _changed(c, PUT_VALUE, {"name": name, "value": value}))

    def put_values(self, values: Mapping[str, bytes | None]) -> None:
        """Write or (None) remove several named facts, in one transaction."""

        def work(connection: apsw.Connection) -> None:
            for name, value in values.items():
                if value is None:
                    _changed(connection, DROP_VALUE, {"name": name})
                else:
                    _changed(connection, PUT_VALUE, {"name": name, "value": value})

        self._write(work)

    def values(self, prefix: str) -> Mapping[str, bytes]:
        """All named facts whose name begins with ``prefix``."""
        bounds = {"first": prefix, "behind": prefix + chr(sys.maxunicode)}
        rows = cast("Sequence[tuple[str, bytes]]", self._database.read(VALUES, bounds))
        return dict(rows)

    def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        result = self._database.write(work)
        self._failpoints.hit("state.committed")
        return result


def _changed(connection: apsw.Connection, sql: str, bindings: Mapping[str, object]) -> bool:
    run(connection, sql, cast("Mapping[str, str | int | bytes | None]", bindings))
    changed = connection.changes() > 0
    if changed:
        run(connection, COUNT, ONE_MORE)
    return changed


def _columns(resource: Resource) -> Mapping[str, str | int]:
    return {
        "kind": resource.kind,
        "name": resource.metadata.name,
        "version": resource.version,
        "labels": msgspec.json.encode(resource.metadata.labels).decode(),
        "spec": msgspec.json.encode(resource.spec).decode(),
        "created_us": resource.created_us,
        "updated_us": resource.updated_us,
    }


def _resource(row: Row) -> Resource:
    kind, name, version, labels, spec, created, updated = cast("_Stored", row)
    return Resource(
        kind=kind,
        metadata=Metadata(name=name, labels=msgspec.json.decode(labels, type=dict[str, str])),
        spec=msgspec.json.decode(spec, type=SPECS[kind]),
        version=version,
        created_us=Micros(created),
        updated_us=Micros(updated),
    )
