"""Slots: the two files that hold a node's last two snapshots, each whole and checked by itself.

A file is the magic, then the signed manifest and each part, every one after its length (u32).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from littoral.domain.errors import Damaged
from littoral.domain.ids import KeyId
from littoral.domain.ports import Disk

SlotName: TypeAlias = Literal["a", "b"]
SLOTS: Final[tuple[SlotName, ...]] = ("a", "b")
MAGIC: Final = b"LITSNAP2"
SIGNERS: Final = "snapshot/signers.json"
REVOKED: Final = "snapshot/revoked"
MOST_REVOKED: Final = 10_000
"""By the time that so many more were revoked, snapshots have long said the same."""
BAD: Final = "snapshot/bad"
OLD: Final = "snapshot.bin"
"""Where builds before signed snapshots kept theirs."""
_LENGTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A snapshot as it lies on disk: signed manifest, and compressed parts by digest."""

    token: bytes
    parts: Mapping[str, bytes]


def path_of(name: SlotName) -> str:
    """The file of a slot."""
    return f"snapshot/{name}.snap"


def other(name: SlotName | None) -> SlotName:
    """The slot to write while this one counts."""
    return "b" if name == "a" else "a"


class Slots:
    """Reads and writes slots, and which keys may sign what comes next.

    Args:
        disk: Where the files are.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def read(self, name: SlotName) -> Slot | None:
        """What a slot holds, or None where it was never written. Its signature is not checked.

        Raises:
            Damaged: The file is not what was written.
        """
        data = self._disk.read(path_of(name))
        if data is None:
            return None
        chunks = list(_chunks(data, path_of(name)))
        return Slot(token=chunks[0], parts={_sha256(part): part for part in chunks[1:]})

    def write(self, name: SlotName, token: bytes, parts: Iterable[bytes]) -> None:
        """Replace a slot, synced. Raises ``StorageFull``."""
        chunks = (token, *parts)
        body = b"".join(len(chunk).to_bytes(_LENGTH) + chunk for chunk in chunks)
        self._disk.write(path_of(name), MAGIC + body)

    def signers(self) -> Mapping[str, bytes]:
        """Public keys by id that the last snapshot announced; empty where none did, or is read."""
        data = self._disk.read(SIGNERS)
        try:
            kept = cast("dict[str, str]", json.loads(data or b"{}"))
            return {name: bytes.fromhex(public) for name, public in kept.items()}
        except (ValueError, AttributeError, TypeError):
            return {}

    def put_signers(self, signers: Mapping[str, bytes]) -> None:
        """Remember who may sign from now on. Raises ``StorageFull``."""
        kept = {name: public.hex() for name, public in sorted(signers.items())}
        self._disk.write(SIGNERS, json.dumps(kept).encode())

    def revoked(self) -> tuple[KeyId, ...]:
        """Keys that control revoked beside snapshots, oldest first; of a damaged file, none."""
        try:
            return tuple(KeyId(each) for each in (self._disk.read(REVOKED) or b"").decode().split())
        except UnicodeDecodeError:
            return ()

    def put_revoked(self, keys: Iterable[KeyId]) -> None:
        """Remember keys that are revoked, whichever slot is served. Raises ``StorageFull``."""
        kept = list(dict.fromkeys((*self.revoked(), *keys)))[-MOST_REVOKED:]
        self._disk.write(REVOKED, "\n".join(kept).encode())

    def bad(self) -> str:
        """The content of the snapshot that failed its trial last; empty without one."""
        return (self._disk.read(BAD) or b"").decode("utf-8", "replace")

    def put_bad(self, content: str) -> None:
        """Remember a content that failed its trial. Raises ``StorageFull``."""
        self._disk.write(BAD, content.encode())

    def forget_old(self) -> None:
        """Remove the unsigned snapshot of an earlier build."""
        self._disk.remove(OLD)


def _chunks(data: bytes, path: str) -> Iterator[bytes]:
    at = len(MAGIC)
    if data[:at] != MAGIC or len(data) == at:
        raise Damaged(f"{path} is no snapshot")
    while at < len(data):
        size = int.from_bytes(data[at : at + _LENGTH])
        at += _LENGTH
        if at + size > len(data):
            raise Damaged(f"{path} is cut off")
        yield data[at : at + size]
        at += size


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
