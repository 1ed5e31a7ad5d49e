"""The quota table's file: mapped by a node and its gateways, with the lock between them."""

import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from littoral.app.settings import Settings
from littoral.domain.quota import MAGIC, QuotaTable, renew, table_bytes
from littoral.domain.words import WORD_BYTES
from littoral.stores.durable import room_for

PLACE = "run/quota"
NODE = 0
"""The node's column; gateways have those from 1 on."""
_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
_UNLOCK = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)
"""``struct flock``: the first byte."""


class FileGuard:
    """A lock on an open file that the kernel takes back from a process that dies.

    Args:
        descriptor: Of the file, opened by this process for itself.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def acquire(self) -> None:
        """Wait until nobody else is inside."""
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLKW, _LOCK)

    def attempt(self) -> bool:
        """Enter if nobody else is inside; whether that was so."""
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _LOCK)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Leave."""
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLKW, _UNLOCK)


@contextmanager
def quota_file(settings: Settings, *, mine: int, columns: int = 0) -> Generator[QuotaTable]:
    """Map the quota table, made where it is missing.

    Only the node makes it anew: rates of an earlier boot mean nothing, nor does another layout.

    Args:
        settings: Where it is, and how many gateways share it.
        mine: This process's column.
        columns: How many there are, where some are of gateways that are no more.

    Raises:
        StorageFull: There is no room for it.
    """
    descriptor = os.open(settings.path(PLACE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if mine == NODE and os.pread(descriptor, WORD_BYTES, 0) != MAGIC.to_bytes(8, sys.byteorder):
            os.ftruncate(descriptor, 0)  # so that what was there need not be overwritten with zeros
        columns = max(columns, settings.gateway_workers + 1)
        size = max(os.fstat(descriptor).st_size, table_bytes(columns))
        with room_for("the quota table"):
            os.posix_fallocate(descriptor, 0, size)
        words = memoryview(mmap.mmap(descriptor, size)).cast("q")
        if mine == NODE:
            renew(words, boot())
        guard = FileGuard(descriptor) if settings.gateway_workers > 1 else None
        yield QuotaTable(words, columns=columns, mine=mine, guard=guard)
    finally:
        os.close(descriptor)


def boot() -> int:
    """A number of this boot of the machine."""
    text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    return int(text.strip().replace("-", "")[:15], 16)
