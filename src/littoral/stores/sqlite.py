"""SQLite as every store here uses it: one library, checked pragmas, one holder of a file."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import apsw

from littoral.domain.errors import Busy, Conflict, Damaged, NewerData, StorageFull, Unavailable
from littoral.stores.durable import room_for, sync_folder

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]
Bindings: TypeAlias = Sequence[Value] | Mapping[str, Value]
Step: TypeAlias = tuple[str, ...]


class _Rows(Protocol):
    def fetchall(self) -> list[Row]: ...


Execute: TypeAlias = Callable[[str, Bindings | None], _Rows]

OLDEST = (3, 51, 3)
"""3.7.0 to 3.51.2 may corrupt a database whose write-ahead log is reset at the wrong moment."""
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p"})
"""File systems whose locks and syncs SQLite cannot rely on."""
PRAGMAS: Mapping[str, int | str] = {
    "journal_mode": "wal",
    "synchronous": 2,
    "busy_timeout": 5000,
    "foreign_keys": 1,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    "wal_autocheckpoint": 0,
    "journal_size_limit": 16 * 1024 * 1024,
}
"""``synchronous`` 2 is FULL: with less, a power cut loses what was acknowledged."""
META = "create table meta(name text primary key, value any not null) strict"


def version_of(text: str) -> tuple[int, ...]:
    """Parse a SQLite version.

    Raises:
        Conflict: It is too old to be trusted with a write-ahead log.
    """
    version = tuple(int(part) for part in text.split("."))
    if version < OLDEST:
        least = ".".join(str(part) for part in OLDEST)
        raise Conflict(f"SQLite {text} is too old: at least {least} is needed; upgrade apsw")
    return version


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that holds ``path``.

    Args:
        path: A file or directory that exists.
        mounts: The text of ``/proc/self/mountinfo``.

    Returns:
        Its type, or ``""`` where its device is not listed.
    """
    device = Path(path).stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split()[0]
    return ""


def refuse_remote(path: str, mounts: str) -> None:
    """Refuse a directory on a network file system.

    Raises:
        Conflict: It is on one; the message names the type.
    """
    kind = file_system(path, mounts)
    if kind in REMOTE:
        raise Conflict(f"{path!r} is on {kind}, where a database is not safe: use a local disk")


def hold(path: str) -> int:
    """Lock a database file for this process; the lock ends with the descriptor or the process.

    The lock stands on a file of its own: closing any descriptor of the database itself would drop
    SQLite's locks.

    Returns:
        A descriptor to close when done.

    Raises:
        Busy: Another process holds it.
        StorageFull: The disk is full or read-only.
    """
    with room_for(repr(path)):
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Busy(f"{path!r} is in use by another process") from error
    return descriptor


def connect(path: str, pragmas: Mapping[str, int | str] = PRAGMAS) -> apsw.Connection:
    """Open a database for writing, made private and durable, each pragma read back.

    Raises:
        Conflict: The library, the file system or a pragma will not do.
    """
    version_of(apsw.sqlite_lib_version())
    folder = str(Path(path).parent)
    refuse_remote(folder, Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    # Only where there is none yet: closing a descriptor of an open database drops SQLite's locks.
    with contextlib.suppress(FileExistsError), room_for(repr(path)):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_folder(folder)
    connection = apsw.Connection(path)
    try:
        for name, value in pragmas.items():
            configure(connection, name, value)
    except (apsw.Error, Conflict):
        connection.close()
        raise
    return connection


def reader(path: str) -> apsw.Connection:
    """Open a second connection that can only read."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    for name, value in {"busy_timeout": 5000, "query_only": 1, "trusted_schema": 0}.items():
        configure(connection, name, value)
    return connection


def configure(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set one pragma and read it back: a misspelt one is silent.

    Raises:
        Conflict: SQLite did not take it.
    """
    run(connection, f"pragma {name} = {value}")
    rows = run(connection, f"pragma {name}")
    if not rows or rows[0][0] != value:
        raise Conflict(f"SQLite did not accept {name} = {value!r}; it answers {rows!r}")


def run(connection: apsw.Connection, sql: str, bindings: Bindings | None = None) -> list[Row]:
    """Execute one statement to its end and return its rows: no cursor stays open."""
    execute = cast(Execute, connection.execute)
    return execute(sql, bindings).fetchall()


def run_many(connection: apsw.Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Execute one statement once for each row, to its end."""
    execute = cast("Callable[[str, Sequence[tuple[object, ...]]], _Rows]", connection.executemany)
    execute(sql, rows).fetchall()


def transact(connection: apsw.Connection, work: Callable[[], None]) -> None:
    """Run ``work`` inside BEGIN IMMEDIATE and COMMIT; whatever it raises rolls back."""
    run(connection, "begin immediate")
    try:
        work()
        run(connection, "commit")
    finally:
        if connection.in_transaction:
            run(connection, "rollback")


def check(connection: apsw.Connection) -> None:
    """Run ``quick_check``.

    Raises:
        apsw.CorruptError: It found damage.
    """
    found = run(connection, "pragma quick_check(1)")
    if found != [("ok",)]:
        raise apsw.CorruptError(f"quick_check found {found!r}")


def migrate(connection: apsw.Connection, steps: Sequence[Step]) -> None:
    """Bring the schema to the last of ``steps``, in one transaction.

    A newer version may have been here and left again. Its schema is used as it is where its file
    says, as ``least``, that so few steps are enough to know: those behind only added what others
    ignore.

    Args:
        connection: To the file.
        steps: All that this version knows.

    Raises:
        NewerData: The file needs more steps than this version knows.
    """
    tables = run(connection, "select 1 from sqlite_schema where name = 'meta'")
    found = 0
    if tables:
        value = run(connection, "select value from meta where name = 'schema'")[0][0]
        found = value if isinstance(value, int) else 0
    enough = run(connection, "select value from meta where name = 'least'") if tables else []
    needed = enough[0][0] if enough else found
    if isinstance(needed, int) and needed > len(steps):
        raise NewerData(
            f"the data has schema {found}, this version of Littoral knows up to {len(steps)}: "
            "start the newer version, or restore a backup made before it"
        )
    if found >= len(steps):
        return

    def apply() -> None:
        for step in steps[found:]:
            for statement in step:
                run(connection, statement)
        run(connection, "insert or replace into meta values('schema', ?)", (len(steps),))
        run(connection, "insert or replace into meta values('least', ?)", (len(steps),))

    transact(connection, apply)


def translated(error: apsw.Error, path: str) -> Exception:
    """What a caller should see instead of SQLite's own error."""
    name = Path(path).name
    match error:
        case apsw.FullError():
            return StorageFull(f"no room on the disk of {name}; nothing was written")
        case apsw.CorruptError() | apsw.NotADBError():
            return Damaged(f"{name} is damaged: {error}; restore a backup")
        case apsw.BusyError() | apsw.LockedError():
            return Busy(f"{name} is in use by another process")
        case _:
            return Unavailable(f"{name} cannot be read or written: {error}")
