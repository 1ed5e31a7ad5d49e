"""Where a node keeps requests that wait for a place, and how much of that."""

from contextlib import AbstractAsyncContextManager

from littoral.app.settings import Settings
from littoral.domain.deferral import DeferralStore, Holding, Room
from littoral.domain.ports import Clock, Disk, Entropy, Sink
from littoral.domain.units import HOUR_US, Bytes, Micros
from littoral.node.carrying import DeferralBounds
from littoral.stores.deferrals import DeferralFile, SqliteDeferrals
from littoral.stores.disk import LocalDisk
from littoral.trust import envelope

KEY_FILE = "deferred.key"


def deferrals_of(
    settings: Settings, *, clock: Clock, entropy: Entropy, sink: Sink
) -> AbstractAsyncContextManager[DeferralStore]:
    """The store, for as long as the context lasts.

    The file may be twice as large as what is kept, so that answers find room and rows that were
    dropped need not be overwritten at once.
    """
    place = DeferralFile(
        path=str(settings.path("deferred.db")),
        key=_key(LocalDisk(settings.data_dir), entropy),
        most=Bytes(2 * settings.deferred_mib * 1024 * 1024),
    )
    return SqliteDeferrals.open(place, clock=clock, entropy=entropy, sink=sink)


def bounds_of(settings: Settings) -> DeferralBounds:
    """How many wait, how much is kept and for how long."""
    size = Bytes(settings.deferred_mib * 1024 * 1024)
    room = Room(node=Holding(count=settings.deferred_count, size=size))
    return DeferralBounds(room=room, keep_us=Micros(settings.deferred_keep_h * HOUR_US))


def _key(disk: Disk, entropy: Entropy) -> bytes:
    """The key that seals them, made on the first start."""
    key = disk.read(KEY_FILE)
    if key is None:
        key = entropy.bytes(envelope.KEY_BYTES)
        disk.write(KEY_FILE, key)
    return key
