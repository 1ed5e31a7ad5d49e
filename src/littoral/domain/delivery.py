"""Delivery: the ports through which a node gets artefacts, and what it keeps of them on the way."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from littoral.domain.blob import BlobManifest
from littoral.domain.ids import Digest
from littoral.domain.units import Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The head of an answer: its status, where its body begins, and the body's pieces."""

    status: int
    begin: int
    pieces: AsyncIterator[bytes]


class Cut(Exception):
    """A download ended before it should: a refused or lost connection, or silence."""


class Downloads(Protocol):
    """Where bytes of blobs come from."""

    def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AbstractAsyncContextManager[Answered]:
        """Ask for bytes ``begin`` to ``end`` (exclusive) of what is at an address.

        ``gently``: let little wait in buffers, where it would delay everything else.

        Raises:
            Cut: It cannot be reached, or broke off; also while the pieces are read.
        """
        ...


class BlobPart(Protocol):
    """A blob under way: verified chunks, and at most one chunk that is being filled."""

    def has(self, index: int) -> bool:
        """Whether a chunk is there, verified and synced."""
        ...

    async def filled(self, index: int) -> int:
        """How many bytes of a chunk were written so far; they are not verified yet."""
        ...

    async def write(self, index: int, data: bytes) -> None:
        """Append to a chunk; beginning another one forgets what was written of the last.

        Raises:
            StorageFull: No room.
        """
        ...

    async def seal(self, index: int) -> bool:
        """Verify a chunk that is full, and sync it; False: it was bad and is forgotten."""
        ...

    async def read(self, index: int) -> bytes | None:
        """A verified chunk, for a peer; None where it is not there."""
        ...

    async def commit(self) -> None:
        """Make the blob visible: every chunk is there. Raises ``Damaged`` where it is another."""
        ...

    async def close(self) -> None:
        """Let go of it; what is there stays for a later start."""
        ...


class BlobParts(Protocol):
    """The blobs under way on a node's disk, kept through restarts."""

    async def open(self, manifest: BlobManifest) -> BlobPart:
        """Begin a blob, or go on with what is there of it."""
        ...

    async def list(self) -> Sequence[Digest]:
        """Blobs under way."""
        ...

    async def whole(self) -> Sequence[Digest]:
        """Blobs that are whole."""
        ...

    async def remove(self, digest: Digest) -> None:
        """Drop what is there of a blob under way."""
        ...

    async def located(self, digest: Digest) -> str | None:
        """Path of a whole blob, else None."""
        ...

    async def read(self, digest: Digest, begin: int, most: int) -> bytes | None:
        """Bytes of a whole blob from a place on, at most so many; None where it is not whole."""
        ...

    async def sizes(self) -> Mapping[Digest, Bytes]:
        """Bytes of every blob that is whole or under way."""
        ...

    async def discard(self, digest: Digest) -> None:
        """Remove a blob, whole or under way."""
        ...

    async def free(self) -> Bytes:
        """Bytes that may still be written."""
        ...
