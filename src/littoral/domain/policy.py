"""Policy: what requests of some keys, projects or models want of the place that serves them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import DeploymentName
from littoral.domain.reach import Residency
from littoral.domain.units import Seconds

Worth: TypeAlias = float | Literal["auto"]
"""What a missed deadline costs, in the platform's currency; ``auto``: thirty times a request at the
dearest place of its model, 1 where all are free."""
AUTO: Final = "auto"
JudgeKind: TypeAlias = Literal["exact", "test", "model", "vote"]
"""Who says which of two answers is better: whether they are the same, a test that either passes or
not, a model, or the callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whose requests a policy is for; an empty list stands for all. Names may end in ``*``.

    ``tags`` are those of requests; one without a tag is in no list of them.
    """

    projects: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


EVERYONE: Final = Match()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How two answers are compared; ``kind`` says which of the other fields count.

    ``test``: an answer passes that has ``pattern`` in it, is ``answer`` but for blanks, or is JSON
    that ``schema`` allows; of these, all that are given. ``model``: ``deployment`` is asked.
    """

    kind: JudgeKind = "exact"
    pattern: str = ""
    answer: str = ""
    schema: Mapping[str, object] = field(default_factory=dict[str, object])
    deployment: str = ""


BY_LIKENESS: Final = Judge()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audits:
    """Which two deployments are compared on a share of the requests, and by which judge.

    ``reference`` is the better one, ``candidate`` the cheaper; the loss of the candidate is held
    below the policy's ``max_loss``. ``off`` are tags that are neither audited nor held. A gateway
    begins at most ``per_minute`` audits of the policy.
    """

    reference: str
    candidate: str
    judge: Judge = BY_LIKENESS
    off: tuple[str, ...] = ()
    per_minute: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good answers of each deployment are, 0 to 1 by whoever rated them, and what may be lost.

    A deployment is not asked whose rating is more than ``max_loss`` below the best one's. Those
    without a rating count as the best.

    With ``audits`` that is what holds until there are enough of them. From then on ``max_loss`` is
    the loss per request that is accepted on average, and audits say which tags the candidate gets.
    """

    ratings: Mapping[str, float] = field(default_factory=dict[str, float])
    max_loss: float = 0.0
    audits: Audits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Ask one deployment first, and another one where its answer is not good enough.

    An answer is good where it passes every check that is given. ``below`` bounds its confidence,
    the geometric mean of the probabilities that the engine gave to its tokens, 0 to 1: what is
    below is too little. ``answers`` are the texts that it may be, but for space around it;
    ``schema`` says what it must be as JSON, in words of JSON Schema that ``trust.shape`` knows.
    """

    first: DeploymentName
    then: DeploymentName
    below: float | None = None
    answers: tuple[str, ...] = ()
    schema: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """What is wanted.

    Of several policies for one request the one holds that names its key, then that which names its
    tag, then its project, then its model, then the one whose name is first. ``tag`` says of what
    kind the requests that match are, where their key does not; it is given by the policy of those
    that have one which would hold, and such a policy names no tags itself.

    ``total_s`` is the deadline that placement keeps, seconds from when the request leaves the line;
    no request is cut for it. ``miss_cost`` is what missing it costs: the choice weighs it against
    money, and refuses what is certain to miss; without it the cheapest place is taken that keeps
    the deadline. ``residency`` holds beside the project's own. ``deployments`` are those that may
    be asked; empty: all. ``cascade`` holds for requests that are not streamed and want one answer,
    and only where both of its deployments fit into the deadline.
    """

    title: str = ""
    match: Match = EVERYONE
    tag: str = ""
    total_s: Seconds | None = None
    miss_cost: Worth | None = None
    residency: Residency = "any"
    deployments: tuple[str, ...] = ()
    quality: Quality | None = None
    cascade: Cascade | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy by its name, as a gateway applies it."""

    name: str
    spec: PolicySpec
