"""A disk under SQLite that fails when told to."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import apsw

Call: TypeAlias = Literal["read", "write", "sync"]


class Faults:
    """What happens below SQLite: ``fail["sync", "-wal"]`` raises at each sync of such a file.

    The first of a pair names the call, the second how the file's path ends. ``syncs`` lists every
    path that was synced.
    """

    def __init__(self) -> None:
        self.fail: dict[tuple[Call, str], type[Exception]] = {}
        self.syncs: list[str] = []

    def check(self, call: Call, path: str) -> None:
        """Raise where a test asked for it."""
        for (failing, suffix), error in self.fail.items():
            if failing == call and path.endswith(suffix):
                raise error("injected")


class _File(apsw.VFSFile):
    def __init__(self, faults: Faults, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._faults = faults
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  SQLite's name
        self._faults.check("read", self._path)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  SQLite's name
        self._faults.check("write", self._path)
        super().xWrite(data, offset)  # pyright: ignore[reportUnknownMemberType]  a Buffer of Python 3.12

    def xSync(self, flags: int) -> None:  # noqa: N802  SQLite's name
        self._faults.syncs.append(self._path)
        self._faults.check("sync", self._path)
        super().xSync(flags)


class _Disk(apsw.VFS):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(  # noqa: N802  SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _File(self._faults, name or "", flags)


@contextmanager
def faulty_disk() -> Generator[Faults]:
    """Put every database that is opened meanwhile on a disk that fails as ``Faults`` says."""
    faults = Faults()
    disk = _Disk(faults)
    try:
        yield faults
    finally:
        disk.unregister()
