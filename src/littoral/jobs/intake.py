"""Intake: a stream of pieces becomes a verified blob, or nothing at all."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from littoral.domain.errors import InvalidInput, TooLarge
from littoral.domain.ids import Digest
from littoral.domain.model import (
    WEIGHTS,
    Artefact,
    Facts,
    SideFile,
    SideFileSpec,
    VersionSpec,
)
from littoral.domain.ports import Blobs, BlobWriter
from littoral.domain.units import Bytes
from littoral.trust.artefact import TEMPLATE_MAX, read_gguf, refuse_disguised
from littoral.trust.weights import read_weights

ADAPTER = ".gguf"
PREFIX_BYTES = 512
SIDE_BYTES = 64 * 1024 * 1024
"""Most bytes of a file that goes with weights: a tokenizer, a vocabulary, a configuration."""


async def take_in(pieces: AsyncIterator[bytes], version: VersionSpec, *, blobs: Blobs) -> Artefact:
    """Write the pieces of weights to a new blob, check what came, and make it visible.

    It is checked before the commit, on a worker thread, within the caps of ``trust``: no other
    parser sees a byte of a file that was not checked.

    Raises:
        InvalidInput: Weights of no format that is accepted, or of one that must be pinned and are
            not, or a chat template that is too long.
        TooLarge: The file is over a cap.
        Damaged: The file contradicts itself, or the digest is not the pinned one.
        StorageFull: No room.
    """
    template = version.chat_template
    if template is not None and len(template.encode()) > TEMPLATE_MAX:
        raise InvalidInput(
            f"the chat template has more than {TEMPLATE_MAX} bytes", param="spec.chat_template"
        )
    is_whole = all(file.name != WEIGHTS for file in version.files)
    expected = version.sha256 if is_whole else None
    async with _begun(blobs) as writer:
        size = 0
        async for piece in pieces:
            size += len(piece)
            await anyio.to_thread.run_sync(writer.write, piece)
        facts = await anyio.to_thread.run_sync(_facts, writer)
        if facts.format != "gguf" and version.sha256 is None:
            raise InvalidInput(
                f"{facts.format} weights are accepted only where they are pinned: give sha256",
                param="spec.sha256",
            )
        digest = await _committed(writer, expected)
    return Artefact(digest=digest, size=Bytes(size), facts=facts, chat_template=template)


async def take_beside(
    pieces: AsyncIterator[bytes], file: SideFileSpec, *, blobs: Blobs
) -> SideFile:
    """Write the pieces of a file that goes with weights to a new blob, and make it visible.

    A file named ``*.gguf`` (an adapter) is weights itself, and checked as such.

    Raises:
        InvalidInput: An archive, a pickle, or no GGUF where its name says so.
        TooLarge: It has more bytes than such a file may have, or a GGUF header is over a cap.
        Damaged: Its digest is not the pinned one.
        StorageFull: No room.
    """
    async with _begun(blobs) as writer:
        prefix, size, is_weights = b"", 0, file.name.endswith(ADAPTER)
        async for piece in pieces:
            size += len(piece)
            if size > SIDE_BYTES and not is_weights:
                raise TooLarge(f"the file {file.name!r} has more than {SIDE_BYTES} bytes")
            prefix = (prefix + piece)[:PREFIX_BYTES]
            await anyio.to_thread.run_sync(writer.write, piece)
        refuse_disguised(prefix)
        if is_weights:
            await anyio.to_thread.run_sync(_check_gguf, writer)
        digest = await _committed(writer, file.sha256)
    return SideFile(name=file.name, digest=digest)


@asynccontextmanager
async def _begun(blobs: Blobs) -> AsyncGenerator[BlobWriter]:
    writer = await anyio.to_thread.run_sync(blobs.writer)
    try:
        yield writer
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.abort)


async def _committed(writer: BlobWriter, sha256: str | None) -> Digest:
    expected = None if sha256 is None else Digest(f"sha256:{sha256}")
    return await anyio.to_thread.run_sync(writer.commit, expected)


def _check_gguf(writer: BlobWriter) -> None:
    with writer.view() as view:
        read_gguf(view, size=len(view))


def _facts(writer: BlobWriter) -> Facts:
    with writer.view() as view:
        return read_weights(view)
