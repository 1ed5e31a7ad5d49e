"""The snapshot a node holds: checked, on disk before it counts, and kept when control is gone."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from littoral.domain.errors import Damaged, StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.ports import Disk, Failpoints
from littoral.domain.session import Applied, Frame, SnapshotOffer
from littoral.domain.snapshot import Snapshot

MAGIC = b"LITSNAP1"
PATH = "snapshot.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFile:
    """Where snapshots are kept: magic, SHA-256 of the rest, the packed offer."""

    disk: Disk
    pack: Callable[[Frame], bytes]
    unpack: Callable[[bytes], Frame]

    def load(self) -> Snapshot | None:
        """The last snapshot that was written, or None where there is none.

        Raises:
            Damaged: The file is not what was written.
        """
        data = self.disk.read(PATH)
        if data is None:
            return None
        head, body = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
        if head != MAGIC + hashlib.sha256(body).digest():
            raise Damaged(f"{PATH} is not what was written: a new one comes with the next session")
        frame = self.unpack(body)
        if not isinstance(frame, SnapshotOffer):
            raise Damaged(f"{PATH} holds a {type(frame).__name__}, not a snapshot")
        return frame.snapshot

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file, synced. Raises ``StorageFull``."""
        body = self.pack(SnapshotOffer(snapshot=snapshot))
        self.disk.write(PATH, MAGIC + hashlib.sha256(body).digest() + body)


class HeldSnapshot:
    """The node's desired state.

    Args:
        node: Whose snapshots are taken.
        file: Where they are kept.
        failpoints: Hit between disk and memory.
        swapped: Called with each snapshot that begins to count.
    """

    def __init__(
        self,
        node: NodeId,
        file: SnapshotFile,
        *,
        failpoints: Failpoints,
        swapped: Callable[[Snapshot], None],
    ) -> None:
        self._node = node
        self._file = file
        self._failpoints = failpoints
        self._swapped = swapped
        self._held: Snapshot | None = None

    @property
    def number(self) -> tuple[int, int]:
        """(epoch, version) of what is held; (0, 0) without one."""
        return (0, 0) if self._held is None else (self._held.epoch, self._held.version)

    def load(self) -> None:
        """Begin with what the last run held. Raises ``Damaged``; then the node holds none."""
        held = self._file.load()
        if held is not None and held.node == self._node:
            self._held = held
            self._swapped(held)

    def offer(self, snapshot: Snapshot) -> Applied:
        """Take a snapshot if it is newer: first to disk, then to memory."""
        number = (snapshot.epoch, snapshot.version)
        reason = self._refusal(snapshot)
        if not reason and number > self.number:
            reason = self._take(snapshot)
        return Applied(epoch=number[0], version=number[1], ok=not reason, reason=reason)

    def _refusal(self, snapshot: Snapshot) -> str:
        if snapshot.node != self._node:
            return f"this node is {self._node}, the snapshot is for {snapshot.node}"
        number = (snapshot.epoch, snapshot.version)
        return "" if number >= self.number else f"{number} is older than {self.number}"

    def _take(self, snapshot: Snapshot) -> str:
        try:
            self._file.save(snapshot)
        except StorageFull as error:
            return error.message
        self._failpoints.hit("snapshot.renamed")
        self._held = snapshot
        self._swapped(snapshot)
        self._failpoints.hit("snapshot.swapped")
        return ""
