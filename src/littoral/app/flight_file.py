"""The flight table's file: mapped by node and gateway, outliving both."""

import mmap
import os
from collections.abc import Generator
from contextlib import contextmanager

from littoral.app.settings import Settings
from littoral.domain.flight import SLOT_BYTES

PLACE = "run/flight"


@contextmanager
def flight_file(settings: Settings) -> Generator[memoryview]:
    """Map the flight table, made where it is missing.

    It is unmapped when nobody looks at it any more. A file that is larger than asked stays so: its
    last slots may hold what is not yet booked.
    """
    descriptor = os.open(settings.path(PLACE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = max(os.fstat(descriptor).st_size, settings.flight_slots * SLOT_BYTES)
        size -= size % SLOT_BYTES
        os.ftruncate(descriptor, size)
        yield memoryview(mmap.mmap(descriptor, size))
    finally:
        os.close(descriptor)
