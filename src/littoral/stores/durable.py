"""Making names and bytes outlive a power cut."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

from littoral.domain.errors import StorageFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def sync_folder(folder: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def room_for(what: str) -> Generator[None]:
    """Turn "no space" and "read-only" from the system into ``StorageFull`` that names ``what``."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"no room on the disk to write {what}") from error
        if error.errno == errno.EROFS:
            raise StorageFull(f"the disk is read-only: {what} cannot be written") from error
        raise
