"""Deployment and Upstream as declared, and Assignment: what a node is told to run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import DeploymentName, UpstreamName
from littoral.domain.limits import Limits
from littoral.domain.model import Artefact, Format
from littoral.domain.rollout import RolloutSpec
from littoral.domain.selector import Where
from littoral.domain.units import Tokens

EngineKind: TypeAlias = Literal["llama_cpp", "openvino", "embed", "whisper", "openai", "fake"]
Option: TypeAlias = str | int | float | bool
FORMATS: Final[Mapping[EngineKind, Format]] = {
    "llama_cpp": "gguf",
    "openvino": "gguf",
    "embed": "onnx",
    "whisper": "ctranslate2",
}
"""The engines that load weights, and which; of two for one format, the first is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSpec:
    """An OpenAI-compatible API: its base URL, up to and including ``/v1``.

    ``credential`` is write-only: it is sealed at rest and never read back.
    """

    url: str
    credential: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """A model version on an engine, under the name clients ask for.

    ``serves`` is by default the deployment's name. Several deployments may share one: each request
    is placed on one of them.
    ``model`` is ``name`` or ``name@version`` for a local engine, and the upstream's own model name
    for engine ``openai``. ``first_token_ms`` is the objective for the first token: half of it is
    how long requests may wait before some are sent away. Prices are per million tokens, in the
    platform's one currency.
    ``limits`` bound the name that is served, whichever deployment answers. ``where`` selects the
    nodes that it is for; without it, those in the cloud. With ``rollout``, a change of what runs
    reaches requests step by step.
    """

    engine: EngineKind = "llama_cpp"
    model: str
    upstream: UpstreamName | None = None
    serves: str | None = None
    slots: int | None = None
    context: Tokens | None = None
    max_tokens: Tokens | None = None
    first_token_ms: int | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    limits: Limits | None = None
    where: Where | None = None
    rollout: RolloutSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamGrant:
    """An upstream as a node needs it, credential opened."""

    name: UpstreamName
    url: str
    credential: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One deployment that a node shall serve. ``revision`` rises with each change of it.

    ``share`` marks a new version beside the present one: the part of the requests that it gets.
    """

    name: DeploymentName
    revision: int
    serves: str
    engine: EngineKind
    model: str
    artefact: Artefact | None = None
    upstream: UpstreamGrant | None = None
    slots: int | None = None
    context: Tokens | None = None
    max_tokens: Tokens | None = None
    first_token_ms: int | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    share: float | None = None
