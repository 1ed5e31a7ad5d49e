"""Small files under one directory, whole or absent."""

import contextlib
import os
import tempfile
from pathlib import Path

from littoral.domain.errors import InvalidInput
from littoral.stores.durable import room_for, sync_folder


class LocalDisk:
    """Adapter of ``Disk``. Paths are relative to ``root``, or absolute and inside it."""

    def __init__(self, root: str) -> None:
        self._root = Path(os.path.normpath(root))

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""
        try:
            return self._inside(path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes, *, private: bool = True) -> None:
        """Replace the file: a temporary one is written and synced, renamed, its name synced."""
        target = self._inside(path)
        with room_for(repr(path)):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    os.fchmod(descriptor, 0o600 if private else 0o644)
                    file.write(data)
                    file.flush()
                    os.fsync(descriptor)
                Path(temporary).replace(target)
                sync_folder(str(target.parent))
            finally:
                Path(temporary).unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """Remove the file if it exists."""
        target = self._inside(path)
        with contextlib.suppress(FileNotFoundError), room_for(repr(path)):
            target.unlink()
            sync_folder(str(target.parent))

    def _inside(self, path: str) -> Path:
        target = Path(os.path.normpath(self._root / path))
        if target == self._root or not target.is_relative_to(self._root):
            raise InvalidInput(f"{path!r} leaves the directory")
        return target
