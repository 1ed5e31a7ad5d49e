"""Endpoint: one running engine as the gateway reaches it; EngineSpec: how to start one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.deployment import Assignment, Option
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.stream import Via
from littoral.domain.units import Bytes, Seconds, Tokens

EndpointState: TypeAlias = Literal["starting", "ready", "draining", "degraded", "failed"]
Capability: TypeAlias = Literal[
    "chat",
    "completions",
    "stream",
    "tools",
    "json_schema",
    "logprobs",
    "many_choices",
    "embeddings",
    "rerank",
    "score",
    "moderations",
    "transcriptions",
    "translations",
    "speech",
    "tokenize",
    "count_tokens",
    "grammar",
    "lora",
    "tokenize_chat",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an engine answers HTTP. ``base`` is the path before ``/chat/completions``.

    ``host`` is an IP address or a name; ``tls`` names the server to verify where it is set.
    """

    host: str
    port: int
    base: str = "/v1"
    tls: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A candidate of one deployment and its present state.

    ``exact`` says that its chats and completions have OpenAI's complete shape and the name
    ``serves``, so that they are passed on untouched; others are decoded and mended.

    ``paths`` has, by operation, the paths at the engine that differ from ``address.base`` and the
    operation's own.

    ``via`` is set where another node runs it: requests go there over frames, and ``id`` is one of
    ours for that way.
    """

    id: EndpointId
    deployment: DeploymentName
    serves: str
    engine: str
    state: EndpointState
    address: Address | None = None
    credential: str | None = None
    engine_model: str = ""
    slots: int = 1
    context: Tokens = Tokens(0)
    max_tokens: Tokens | None = None
    capabilities: tuple[Capability, ...] = ()
    price_in: float = 0.0
    price_out: float = 0.0
    remote: bool = False
    reason: str = ""
    exact: bool = True
    paths: Mapping[str, str] = field(default_factory=dict[str, str])
    via: Via | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a host offers to engines."""

    cores: int
    memory: Bytes
    memory_free: Bytes
    contended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Everything a driver needs to start one engine for one assignment.

    ``files`` are the paths of the files that go with the weights, by name.
    """

    assignment: Assignment
    artefact_path: str | None
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    machine: Machine
    threads: int
    spin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether a model fits a machine's memory, and the terms of the answer."""

    fits: bool
    weights: Bytes
    cache: Bytes
    overhead: Bytes
    available: Bytes
    slots: int
    context: Tokens
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Learned coefficients of one endpoint, folded with its present load, for ``decide``.

    ``first = t0 + t_in * fresh``; ``total = first + t_step * (n_out - 1)``, all in seconds;
    ``t_crowd`` is what each output token adds to one of everybody else's. ``width`` is the log
    half-width from p50 to p90 of the speed and ``scale`` its conformal multiplier; ``length`` that
    of the answers' length, whose median is ``out_p50``.
    """

    endpoint: EndpointId
    version: int
    t0: Seconds
    t_in: Seconds
    t_step: Seconds
    width: float = 0.3
    scale: float = 1.0
    out_p50: Tokens = Tokens(128)
    length: float = 0.0
    t_crowd: Seconds = Seconds(0.0)
    state: Literal["cold", "ok", "suspect", "off"] = "cold"
    terms: Mapping[str, Option] = field(default_factory=dict[str, Option])
