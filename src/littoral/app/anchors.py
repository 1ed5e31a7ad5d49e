"""Anchors as a file: whose snapshots the node of this machine takes before it has any."""

from collections.abc import Mapping

import msgspec

from littoral.domain.ports import Disk
from littoral.domain.snapshot import HOME_SITE, Anchors

ANCHORS_FILE = "anchors.json"


class _File(msgspec.Struct):
    """What control writes for its own node; keys in hexadecimal, and nothing in it is secret."""

    cluster: str
    site: str
    signers: dict[str, str]


def write_anchors(disk: Disk, *, cluster: str, signers: Mapping[str, bytes]) -> None:
    """Write down for the node of this machine whose snapshots to take, where that is news."""
    kept = {name: public.hex() for name, public in sorted(signers.items())}
    data = msgspec.json.encode(_File(cluster=cluster, site=HOME_SITE, signers=kept))
    if disk.read(ANCHORS_FILE) != data:
        disk.write(ANCHORS_FILE, data)


def read_anchors(disk: Disk) -> Anchors | None:
    """What control has written, or None where it has not, or not whole."""
    data = disk.read(ANCHORS_FILE)
    if data is None:
        return None
    try:
        kept = msgspec.json.decode(data, type=_File)
        signers = {name: bytes.fromhex(public) for name, public in kept.signers.items()}
    except (msgspec.MsgspecError, ValueError):
        return None
    return Anchors(cluster=kept.cluster, site=kept.site, signers=signers)
