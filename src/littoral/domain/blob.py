"""BlobManifest: the bytes of an artefact, chunk by chunk, so that anybody may bring them.

Control signs its manifest once. Whoever holds it can check each chunk alone, whoever sent it.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import Digest, NodeId
from littoral.domain.pace import ALWAYS, PacePolicy
from littoral.domain.units import Bytes, Micros, Seconds

CHUNK: Final = Bytes(4 << 20)
"""Bytes of each chunk but the last."""
CHUNK_LEAST: Final = Bytes(64 << 10)
CHUNK_MOST: Final = Bytes(16 << 20)
BLOB_MOST: Final = Bytes(1 << 40)
DELTAS_MOST: Final = 8
BlobKind: TypeAlias = Literal["gguf", "lora", "onnx", "ctranslate2", "delta", "wheel", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOffer:
    """A blob that makes another one from its parent; ``tensors`` of it differ."""

    parent: Digest
    digest: Digest
    size: Bytes
    tensors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobManifest:
    """One blob: its digest, and the SHA-256 of each chunk of ``chunk`` bytes, in order."""

    digest: Digest
    size: Bytes
    kind: BlobKind
    chunk: Bytes
    chunks: tuple[bytes, ...]
    deltas: tuple[DeltaOffer, ...] = ()

    def begin(self, index: int) -> int:
        """The first byte of a chunk."""
        return index * self.chunk

    def length(self, index: int) -> int:
        """How many bytes a chunk has."""
        return min(self.chunk, self.size - self.begin(index))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBlob:
    """A manifest, and control's signature over all of it."""

    manifest: BlobManifest
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobSource:
    """Who has a blob, or part of it: an address to ask for ranges.

    ``wan`` is true of one that is reached over the line the site pays for.
    """

    name: str
    address: str
    wan: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobAsk:
    """Node to control: what is this blob, and who may I get it from now? ``BlobOffer`` answers.

    ``reach`` are the nodes that this one can ask; None where it does not say.
    """

    digest: Digest
    reach: tuple[NodeId, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobOffer:
    """The manifest of a blob and its sources, or why there is none; ask again after ``again_s``.

    ``pace`` is what the site allows.
    """

    digest: Digest
    signed: SignedBlob | None = None
    sources: tuple[BlobSource, ...] = ()
    again_s: Seconds = Seconds(0.0)
    error: str = ""
    pace: PacePolicy = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProgress:
    """Node to control: so many bytes of a blob are here; ``ended`` when it is, or was given up."""

    digest: Digest
    done: Bytes
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobsHeld:
    """Node to control: blobs that this node has for its peers, and where they may ask for them."""

    address: str
    digests: tuple[Digest, ...]


def chunks_of(size: int, chunk: int) -> int:
    """How many chunks a blob has; an empty blob has none."""
    return -(-size // chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A file of a store, as its directory shows it: its bytes were not read."""

    digest: Digest
    size: Bytes
    written_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedBlob:
    """A blob that nothing refers to, since when, and until when it stays all the same."""

    digest: Digest
    size: Bytes
    since_us: Micros
    until_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreView:
    """What control's store of blobs holds.

    ``fetching`` is whether a version is being fetched: nothing is removed meanwhile. ``removed``
    went just now, and ``freed`` are its bytes.
    """

    blobs: int
    size: Bytes
    fetching: bool
    unused: tuple[UnusedBlob, ...] = ()
    removed: tuple[Digest, ...] = ()
    freed: Bytes = Bytes(0)
