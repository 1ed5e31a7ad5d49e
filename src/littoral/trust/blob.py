"""Manifests of blobs: made by reading once, signed by control, checked before use."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from littoral.domain.blob import (
    BLOB_MOST,
    CHUNK,
    CHUNK_LEAST,
    CHUNK_MOST,
    DELTAS_MOST,
    BlobKind,
    BlobManifest,
    DeltaOffer,
    SignedBlob,
    chunks_of,
)
from littoral.domain.errors import Damaged
from littoral.domain.ids import DIGEST, Digest
from littoral.domain.units import Bytes
from littoral.trust import signature

KIND: Final = "littoral-blob"
_SHA256: Final = 32


def measure(pieces: Iterable[bytes], *, kind: BlobKind, chunk: Bytes = CHUNK) -> BlobManifest:
    """Read a blob once and say what it is; pieces may have any length.

    Checked by: tests/unit/trust/test_blob.py.
    """
    whole, part, room = hashlib.sha256(), hashlib.sha256(), int(chunk)
    chunks: list[bytes] = []
    size = 0
    for piece in pieces:
        whole.update(piece)
        size += len(piece)
        view = memoryview(piece)
        while view:
            part.update(view[:room])
            taken = min(room, len(view))
            view, room = view[taken:], room - taken
            if not room:
                chunks.append(part.digest())
                part, room = hashlib.sha256(), int(chunk)
    if room < chunk:
        chunks.append(part.digest())
    digest = Digest(f"sha256:{whole.hexdigest()}")
    return BlobManifest(
        digest=digest, size=Bytes(size), kind=kind, chunk=chunk, chunks=tuple(chunks)
    )


def sign(manifest: BlobManifest, *, seed: bytes) -> SignedBlob:
    """Sign a manifest with control's key."""
    token = signature.sign(_summary(manifest), seed=seed, kind=KIND)
    return SignedBlob(manifest=manifest, token=token)


def accept(signed: SignedBlob, *, digest: Digest, keys: Mapping[str, bytes]) -> BlobManifest:
    """The manifest, if one of ``keys`` signed it for this digest and it can be true.

    Args:
        signed: As it came.
        digest: The blob that was asked for.
        keys: Public keys by their ids.

    Raises:
        Damaged: Forged, of another blob, or impossible.

    Checked by: tests/unit/trust/test_blob.py.
    """
    manifest = signed.manifest
    if manifest.digest != digest:
        raise Damaged(f"a manifest of {manifest.digest:.80} came for {digest}")
    wrong = _impossible(manifest)
    if wrong:
        raise Damaged(f"the manifest of {digest} is impossible: {wrong}")
    if signature.verify(signed.token, keys, kind=KIND) != _summary(manifest):
        raise Damaged(f"the manifest of {digest} is not the one that was signed")
    return manifest


def _impossible(manifest: BlobManifest) -> str:
    """Why a manifest cannot be true; empty where it can."""
    if not CHUNK_LEAST <= manifest.chunk <= CHUNK_MOST:
        return f"chunks of {manifest.chunk} bytes"
    if not 0 <= manifest.size <= BLOB_MOST:
        return f"{manifest.size} bytes"
    if len(manifest.chunks) != chunks_of(manifest.size, manifest.chunk):
        return f"{len(manifest.chunks)} chunks of {manifest.size} bytes"
    if any(len(chunk) != _SHA256 for chunk in manifest.chunks):
        return "a chunk's digest has another length"
    if len(manifest.deltas) > DELTAS_MOST or any(map(_is_odd, manifest.deltas)):
        return "its deltas"
    return ""


def _is_odd(delta: DeltaOffer) -> bool:
    named = DIGEST.fullmatch(delta.parent) and DIGEST.fullmatch(delta.digest)
    return not named or not 0 < delta.size <= BLOB_MOST


def _summary(manifest: BlobManifest) -> bytes:
    """A digest over every field: each with its length, so that no two manifests have one text."""
    text = hashlib.sha256()
    for part in _fields(manifest):
        text.update(len(part).to_bytes(8, "big") + part)
    return text.digest()


def _fields(manifest: BlobManifest) -> Iterator[bytes]:
    yield manifest.digest.encode()
    yield b"%d %d" % (manifest.size, manifest.chunk)
    yield manifest.kind.encode()
    yield b"".join(manifest.chunks)
    for delta in manifest.deltas:
        yield delta.parent.encode()
        yield delta.digest.encode()
        yield b"%d %d" % (delta.size, delta.tensors)
