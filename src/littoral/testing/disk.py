"""A disk in memory."""

import posixpath

from littoral.domain.errors import InvalidInput, StorageFull


class MemoryDisk:
    """Twin of ``Disk``. ``full`` makes every write fail until a test clears it."""

    def __init__(self) -> None:
        self.full = False
        self.files: dict[str, bytes] = {}
        self.private: dict[str, bool] = {}

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""
        return self.files.get(_inside(path))

    def write(self, path: str, data: bytes, *, private: bool = True) -> None:
        """Replace the file; ``StorageFull`` while ``full``."""
        name = _inside(path)
        if self.full:
            raise StorageFull(f"no room to write {path!r}")
        self.files[name] = bytes(data)
        self.private[name] = private

    def remove(self, path: str) -> None:
        """Remove the file if it exists."""
        name = _inside(path)
        self.files.pop(name, None)
        self.private.pop(name, None)


def _inside(path: str) -> str:
    name = posixpath.normpath(path)
    if name == ".." or name.startswith("../"):
        raise InvalidInput(f"{path!r} leaves the directory")
    return name
