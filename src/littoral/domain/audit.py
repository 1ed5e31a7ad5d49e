"""Audits: what a judge found of two answers to one question, what callers say, what follows.

Nothing here holds a word of a prompt or an answer: only names, scores, probabilities and times.
"""

from dataclasses import dataclass

from littoral.domain.ids import DeploymentName, KeyId, RequestId
from littoral.domain.policy import JudgeKind
from littoral.domain.units import Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One request that both deployments of a policy answered, and what the judge made of it.

    ``loss`` is the reference's score minus the candidate's, -1 to 1; ``cheap`` whether the caller
    got the candidate's answer; ``probability`` is with which it was picked. ``cost`` is what the
    audit took, in the platform's currency.
    """

    at_us: Micros
    policy: str
    tag: str
    candidate: DeploymentName
    judge: JudgeKind
    loss: float
    cheap: bool
    probability: float
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a caller thinks of the answer to a request that its key made, 0 to 1."""

    at_us: Micros
    request: RequestId
    key: KeyId
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A finding or a vote, numbered in the order in which control wrote them down."""

    number: int
    note: Finding | Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What follows for a policy: the tags that its candidate may serve, and how much is audited.

    While it is not ``decided`` there are too few audits, and the operator's ratings hold. ``cheap``
    and ``dear`` are the shares of requests to audit that the candidate and the reference serve.
    """

    policy: str
    candidate: DeploymentName
    decided: bool
    tags: tuple[str, ...] = ()
    cheap: float = 0.0
    dear: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TagView:
    """A tag of a policy: the loss to expect at the candidate, its error, its part of requests.

    ``audits`` count less the older they are; an ``off`` tag is neither audited nor held.
    """

    tag: str
    audits: float
    loss: float
    error: float
    share: float
    allowed: bool
    off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityView:
    """What audits say of a policy.

    Until it is ``decided`` ratings hold. ``loss`` is what callers lost per request over the last
    audits, ``error`` its standard error, None without any; ``slack`` the part of the budget that is
    planned with; ``shares`` are those of requests audited that candidate and reference serve.
    ``spent`` is what audits took, in the platform's currency.
    """

    policy: str
    candidate: str
    reference: str
    judge: JudgeKind
    audits: int
    decided: bool
    budget: float
    slack: float
    loss: float
    error: float | None
    shares: tuple[float, float]
    spent: float
    tags: tuple[TagView, ...]
