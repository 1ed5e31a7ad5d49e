"""The flight table's file: mapped by node and gateway, outliving both."""

import fcntl
import mmap
import os
import select
from collections.abc import Generator
from contextlib import contextmanager

from littoral.app.settings import Settings
from littoral.app.system import SystemClock
from littoral.domain.errors import Busy
from littoral.domain.flight import SLOT_BYTES
from littoral.domain.units import Seconds
from littoral.stores.durable import room_for

PLACE = "run/flight-{}"
WAIT = Seconds(10.0)
"""How long a gateway that lost its node may take to settle what it has, and end."""
LOOK_S = 0.02


@contextmanager
def flight_file(
    settings: Settings, worker: int = 0, *, writer: bool = False
) -> Generator[memoryview]:
    """Map the flight table of one gateway, made where it is missing.

    It is unmapped when nobody looks at it any more. A file that is larger than asked stays so: its
    last slots may hold what is not yet booked. All its blocks are there before it is mapped: a
    store that found none on a full disk would end the process.

    Args:
        settings: Where it is, and its least size.
        worker: Whose it is.
        writer: Whether this is the gateway. It holds the file's lock until it ends; a node waits
            for that, so it never books what an earlier gateway still writes.

    Raises:
        Busy: An earlier gateway does not end.
        StorageFull: There is no room for it.
    """
    descriptor = os.open(
        settings.path(PLACE.format(worker)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        _take(descriptor)
        size = max(os.fstat(descriptor).st_size, settings.flight_slots * SLOT_BYTES)
        size -= size % SLOT_BYTES
        with room_for("the flight table"):
            os.posix_fallocate(descriptor, 0, size)
        if not writer:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        yield memoryview(mmap.mmap(descriptor, size))
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    clock = SystemClock()
    deadline = clock.now() + WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.now() > deadline:
                raise Busy("an earlier gateway has lost its node and does not end") from None
            select.select([], [], [], LOOK_S)
        else:
            return


def tables_of(settings: Settings) -> int:
    """How many gateways there are, or were: a table of one that is no more may hold records."""
    places = settings.path("run").glob("flight-*")
    known = [int(place.name.partition("-")[2]) + 1 for place in places]
    return max(settings.gateway_workers, *known, 1)
