"""Prior: what nodes learned of engines, by what the engines are, for those who have not yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from littoral.domain.ids import EndpointId, NodeId

State: TypeAlias = Literal["cold", "ok", "suspect", "off"]
"""How far a predictor is trusted: not yet, wholly, on probation, not any more."""
WORST: Final[tuple[State, ...]] = ("ok", "cold", "suspect", "off")
"""From the best to the worst."""
PRIORS: Final = 256
"""Most kinds of engines whose coefficients are shared."""


class EngineKind(NamedTuple):
    """What an engine's speed depends on: equal ones are as fast as each other, about.

    ``device`` is the processor's model, ``weights`` the digest of what is loaded, ``family`` the
    architecture with its size and quantisation, ``build`` Littoral's version: engines come with it.
    """

    engine: str
    device: str
    threads: int
    family: str
    weights: str
    build: str

    @property
    def prefixes(self) -> tuple[str, str, str]:
        """How names of its like begin, the nearest first.

        This kind itself; with another build; with other weights of the same family, which another
        version of a model has.
        """
        family = " | ".join((self.engine, self.device, str(self.threads), self.family, ""))
        weights = f"{family}{self.weights} | "
        return weights + self.build, weights, family

    @property
    def name(self) -> str:
        """As one text, in which priors are found."""
        return self.prefixes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What one predictor has learned, and how far it is to be trusted.

    ``kind`` is the name of an ``EngineKind``; empty where others could not use it. ``theta`` are
    the seconds of a request at all, of an input token, of an output token, and of a companion for
    each output token; ``q50`` and ``q90`` quantiles of log(actual / predicted), ``scale`` of the
    bound, ``power`` the exponent of the host's strain.
    """

    endpoint: EndpointId
    state: State
    outcomes: int
    kind: str = ""
    theta: tuple[float, ...] = ()
    q50: float = 0.0
    q90: float = 0.3
    scale: float = 1.0
    power: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPrior:
    """Medians of what ``nodes`` learned of one kind of engine; ``version`` rises with each."""

    version: int
    nodes: int
    theta: tuple[float, ...]
    q50: float
    q90: float
    scale: float
    power: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """Node to control: what its predictors have learned."""

    learned: tuple[Learned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorView:
    """A predictor of a node, for people."""

    node: NodeId
    learned: Learned


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorsPart:
    """Part ``priors`` of a snapshot: by the names of kinds of engines."""

    priors: Mapping[str, FleetPrior]
    unread: tuple[str, ...] = ()
    """Names of those that this build could not read."""
