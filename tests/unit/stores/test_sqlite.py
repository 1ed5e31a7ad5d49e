"""Opening SQLite: versions, pragmas, file systems, locks, migrations."""

import os
from pathlib import Path

import apsw
import pytest
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from littoral.domain.errors import Busy, Conflict, Damaged, NewerData, StorageFull, Unavailable
from littoral.stores import schema, sqlite
from littoral.stores.outbox_file import STEPS
from littoral.stores.sqlite import run


@pytest.mark.parametrize("text", ["3.51.3", "3.54.1", "4.0.0"])
def test_a_version_without_the_reset_bug_is_taken(text: str):
    assert sqlite.version_of(text) >= (3, 51, 3)


@pytest.mark.parametrize("text", ["3.51.2", "3.40.1", "3.7.0"])
def test_an_older_version_is_refused_and_the_message_says_what_to_do(text: str):
    with pytest.raises(Conflict, match=r"at least 3\.51\.3 is needed; upgrade apsw"):
        sqlite.version_of(text)


def test_every_pragma_reads_back_as_it_was_set(tmp_path: Path):
    connection = sqlite.connect(str(tmp_path / "a.db"))
    found = {name: run(connection, f"pragma {name}")[0][0] for name in sqlite.PRAGMAS}
    connection.close()
    assert found == dict(sqlite.PRAGMAS)
    assert found["synchronous"] == 2
    assert found["journal_size_limit"] == 16 << 20


def test_a_misspelt_pragma_is_refused(tmp_path: Path):
    with pytest.raises(Conflict, match="journal_mood"):
        sqlite.connect(str(tmp_path / "a.db"), {"journal_mood": "wal"})


def test_a_database_is_created_private(tmp_path: Path):
    sqlite.connect(str(tmp_path / "a.db")).close()
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600


def mounts(path: Path, kind: str) -> str:
    device = path.stat().st_dev
    return "\n".join(
        [
            "20 1 0:99 / /proc rw,relatime - proc proc rw",
            f"21 1 {os.major(device)}:{os.minor(device)} / {path} rw shared:1 - {kind} src rw",
        ]
    )


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p"])
def test_a_network_file_system_is_refused_by_its_name(tmp_path: Path, kind: str):
    with pytest.raises(Conflict, match=f"is on {kind}.*local disk"):
        sqlite.refuse_remote(str(tmp_path), mounts(tmp_path, kind))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])
def test_a_local_file_system_is_taken(tmp_path: Path, kind: str):
    sqlite.refuse_remote(str(tmp_path), mounts(tmp_path, kind))


def test_an_unlisted_device_is_taken(tmp_path: Path):
    assert sqlite.file_system(str(tmp_path), "") == ""


def test_a_held_file_is_busy_until_it_is_let_go(tmp_path: Path):
    path = str(tmp_path / "a.db")
    lock = sqlite.hold(path)
    with pytest.raises(Busy, match="in use by another process"):
        sqlite.hold(path)
    os.close(lock)
    os.close(sqlite.hold(path))


def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path):
    connection = sqlite.connect(str(tmp_path / "a.db"))
    run(connection, "create table t(x integer) strict")

    def half() -> None:
        run(connection, "insert into t values(1)")
        raise KeyError

    with pytest.raises(KeyError):
        sqlite.transact(connection, half)
    assert run(connection, "select count(*) from t") == [(0,)]
    connection.close()


ONE = (sqlite.META, "create table a(x integer) strict")
TWO = ("alter table a add column y integer", "create index a_y on a(y)")


def test_steps_are_applied_once_and_in_order(tmp_path: Path):
    path = str(tmp_path / "a.db")
    for steps in ((ONE,), (ONE, TWO), (ONE, TWO)):
        connection = sqlite.connect(path)
        sqlite.migrate(connection, steps)
        assert run(connection, "select value from meta where name = 'schema'") == [(len(steps),)]
        connection.close()
    connection = sqlite.connect(path)
    assert [row[1] for row in run(connection, "pragma table_info(a)")] == ["x", "y"]
    with pytest.raises(NewerData, match=r"schema 2.*up to 1"):
        sqlite.migrate(connection, (ONE,))
    connection.close()


def test_a_newer_schema_that_only_added_is_used_by_an_older_version(tmp_path: Path):
    connection = sqlite.connect(str(tmp_path / "a.db"))
    sqlite.migrate(connection, (ONE, TWO))
    run(connection, "update meta set value = 1 where name = 'least'")
    sqlite.migrate(connection, (ONE,))
    assert run(connection, "select value from meta where name = 'schema'") == [(2,)]
    connection.close()


def test_a_step_that_fails_leaves_the_schema_before_it(tmp_path: Path):
    connection = sqlite.connect(str(tmp_path / "a.db"))
    sqlite.migrate(connection, (ONE,))
    with pytest.raises(apsw.SQLError):
        sqlite.migrate(connection, (ONE, ("create table b(x integer) strict", "nonsense")))
    assert run(connection, "select value from meta where name = 'schema'") == [(1,)]
    assert run(connection, "select name from sqlite_schema where name = 'b'") == []
    connection.close()


def test_an_old_writer_still_works_on_the_next_schema(tmp_path: Path):
    connection = sqlite.connect(str(tmp_path / "a.db"))
    sqlite.migrate(connection, (ONE, TWO))
    run(connection, "insert into a(x) values(1)")
    assert run(connection, "select x from a") == [(1,)]
    connection.close()


def described(connection: apsw.Connection, table: str) -> tuple[object, ...]:
    columns = run(connection, f"pragma table_xinfo({table})")
    indices = sorted(
        (
            row[2:],
            [each[1:] for each in run(connection, f"pragma index_info({row[1]})")],
        )
        for row in run(connection, f"pragma index_list({table})")
    )
    strict = run(connection, "select strict from pragma_table_list where name = ?", (table,))
    # Declared types as SQLite stores them; key columns of a table are never null in either.
    shape = [
        (name, str(kind).upper(), notnull, key) for _, name, kind, notnull, _, key, _ in columns
    ]
    return shape, indices, strict


@pytest.mark.parametrize(
    ("metadata", "steps"),
    [(schema.CONTROL, schema.CONTROL_STEPS), (schema.LEDGER, schema.LEDGER_STEPS)],
    ids=["control", "ledger"],
)
def test_the_steps_make_the_tables_that_statements_are_composed_from(metadata, steps):
    stepped, composed = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    sqlite.migrate(stepped, steps)
    for table in metadata.sorted_tables:
        composed.execute(str(CreateTable(table).compile(dialect=dialect.dialect())))
        for index in table.indexes:
            composed.execute(str(CreateIndex(index).compile(dialect=dialect.dialect())))
        assert described(stepped, table.name) == described(composed, table.name)
    made = {row[0] for row in run(stepped, "select name from sqlite_schema where type = 'table'")}
    assert made == {"meta", *metadata.tables}


def test_every_table_is_strict():
    for steps in (schema.CONTROL_STEPS, schema.LEDGER_STEPS, STEPS):
        tables = [sql for step in steps for sql in step if sql.startswith("create table")]
        assert all("strict" in sql.rstrip().rsplit(")", 1)[1] for sql in tables)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (apsw.FullError("x"), StorageFull),
        (apsw.CorruptError("x"), Damaged),
        (apsw.NotADBError("x"), Damaged),
        (apsw.BusyError("x"), Busy),
        (apsw.IOError("x"), Unavailable),
    ],
)
def test_errors_of_sqlite_are_translated_and_name_the_file(error, seen):
    translated = sqlite.translated(error, "/data/control.db")
    assert type(translated) is seen
    assert "control.db" in str(translated)
