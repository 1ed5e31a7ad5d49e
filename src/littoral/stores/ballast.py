"""A file of reserved blocks: deleted on a full disk, so that cleaning up has room to work."""

import contextlib
import os
from pathlib import Path

from littoral.domain.units import Bytes


class Ballast:
    """``size`` bytes held beside a database.

    On a full disk even deleting rows and checkpointing fail; with the ballast gone, they work.
    """

    def __init__(self, path: str, size: Bytes) -> None:
        self._path = Path(path)
        self._size = size

    def take(self) -> bool:
        """Hold the blocks; False where the disk has no room for them."""
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_size == self._size:
                return True
        try:
            self._path.touch(mode=0o600)
            with self._path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:
            self.free()
            return False
        return True

    def free(self) -> None:
        """Give the blocks back to the disk."""
        self._path.unlink(missing_ok=True)
