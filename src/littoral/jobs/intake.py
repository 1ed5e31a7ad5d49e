"""Intake: a stream of pieces becomes a verified blob, or nothing at all."""

from collections.abc import AsyncIterator

import anyio
import anyio.to_thread

from littoral.domain.errors import InvalidInput
from littoral.domain.ids import Digest
from littoral.domain.model import Artefact, VersionSpec
from littoral.domain.ports import Blobs
from littoral.domain.units import Bytes
from littoral.trust.artefact import HEADER_MAX, TEMPLATE_MAX, read_gguf, refuse_disguised

PREFIX_BYTES = 512


async def take_in(pieces: AsyncIterator[bytes], version: VersionSpec, *, blobs: Blobs) -> Artefact:
    """Write pieces to a new blob, check the header of what came, and make it visible.

    The header is checked before the commit, on a worker thread, within the caps of
    ``trust.artefact``: no other parser sees a byte of a file that was not checked.

    Raises:
        InvalidInput: Not GGUF weights, or a chat template that is too long.
        TooLarge: The header is over a cap.
        Damaged: The header contradicts itself, or the digest is not the pinned one.
        StorageFull: No room.
    """
    template = version.chat_template
    if template is not None and len(template.encode()) > TEMPLATE_MAX:
        raise InvalidInput(
            f"the chat template has more than {TEMPLATE_MAX} bytes", param="spec.chat_template"
        )
    writer = await anyio.to_thread.run_sync(blobs.writer)
    try:
        header, size = bytearray(), 0
        async for piece in pieces:
            if len(header) < PREFIX_BYTES <= len(header) + len(piece):
                refuse_disguised(bytes(header + piece)[:PREFIX_BYTES])
            if len(header) < HEADER_MAX:
                header += piece[: HEADER_MAX - len(header)]
            size += len(piece)
            await anyio.to_thread.run_sync(writer.write, piece)
        with memoryview(header) as view:
            facts = await anyio.to_thread.run_sync(lambda: read_gguf(view, size=size))
        expected = None if version.sha256 is None else Digest(f"sha256:{version.sha256}")
        digest = await anyio.to_thread.run_sync(writer.commit, expected)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.abort)
    return Artefact(digest=digest, size=Bytes(size), facts=facts, chat_template=template)
