"""Anchors as a file: whose snapshots the node of this machine takes before it has any."""

from collections.abc import Mapping

import msgspec

from littoral.domain.ports import Disk
from littoral.domain.snapshot import HOME_SITE, Anchors

ANCHORS_FILE = "anchors.json"


def write_anchors(disk: Disk, *, cluster: str, signers: Mapping[str, bytes]) -> None:
    """Write down for the node of this machine whose snapshots to take, where that is news."""
    kept = Anchors(cluster=cluster, site=HOME_SITE, signers=dict(sorted(signers.items())))
    data = msgspec.json.encode(kept)
    if disk.read(ANCHORS_FILE) != data:
        disk.write(ANCHORS_FILE, data)


def read_anchors(disk: Disk) -> Anchors | None:
    """What control has written, or None where it has not, or not whole."""
    try:
        return msgspec.json.decode(disk.read(ANCHORS_FILE) or b"", type=Anchors)
    except msgspec.MsgspecError:
        return None
