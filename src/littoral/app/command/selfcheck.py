"""``littoral node check``: whether this build can read what a node keeps, before an update."""

from littoral.app.codec import unpack
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import screen
from littoral.app.settings import Settings
from littoral.app.supervisor import check_format
from littoral.app.system import SystemFailpoints
from littoral.app.version import VERSION
from littoral.domain.errors import Damaged, UnknownName
from littoral.node.identity import Credentials, IdentityStore
from littoral.node.slot import SLOTS, Slots
from littoral.stores.disk import LocalDisk
from littoral.trust import manifest
from littoral.trust.signature import key_id


def check(*, reach: Reach = HERE) -> None:
    """Read what a node keeps in its data folder, change nothing, and say what cannot be read.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = settings_of(reach)
    if not settings.path("format").exists():
        raise UnknownName(f"{settings.data_dir} is no data folder of Littoral: there is no format")
    check_format(settings.path())
    disk = LocalDisk(settings.data_dir)
    held = IdentityStore(disk, SystemFailpoints(settings.failpoints)).read()
    snapshots = _snapshots(settings, held)
    shown.note("check.done", version=VERSION, snapshots=snapshots)
    shown.json({"version": VERSION, "joined": held is not None, "snapshots": snapshots})


def _snapshots(settings: Settings, held: Credentials | None) -> int:
    """How many of the snapshots on disk can be read, and were signed by whom this node trusts.

    Raises:
        Damaged: There are some, and none can.
    """
    slots = Slots(LocalDisk(settings.data_dir))
    told = () if held is None else held.identity.snapshot_keys
    publics = [bytes.fromhex(each) for each in told]
    signers = {**{key_id(each): each for each in publics}, **slots.signers()}
    good, wrong = 0, ""
    for name in SLOTS:
        try:
            slot = slots.read(name)
            if slot is not None:
                manifest.read(slot.token, signers, unpack=unpack)
                good += 1
        except Damaged as error:
            wrong = error.message
    if wrong and not good:
        raise Damaged(f"no snapshot here can be read by {VERSION}: {wrong}")
    return good
