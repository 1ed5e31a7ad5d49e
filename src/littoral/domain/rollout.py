"""Rollout: how a changed deployment reaches everybody, step by step, and what holds it back."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import DeploymentName

NEXT: Final = ".next"
"""Ends the name under which the new version of a deployment runs beside it."""
RolloutState: TypeAlias = Literal["settled", "running", "paused", "undone"]
RolloutAct: TypeAlias = Literal["pause", "resume", "undo", "promote"]
GoldenCheck: TypeAlias = Literal["exact", "contains", "choice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One message of a chat, as an engine is asked."""

    role: Literal["system", "user", "assistant"] = "user"
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenItem:
    """A question whose right answer is known: one of ``prompt`` and ``messages``, and ``expect``.

    ``check`` says when an answer is right: it is what is expected but for blanks, has that in it,
    or names that letter or digit as its first one that stands alone.
    """

    prompt: str = ""
    messages: tuple[Utterance, ...] = ()
    expect: str
    check: GoldenCheck = "exact"
    max_tokens: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Golden items that a node asks both versions of a deployment.

    ``run`` names what is compared: scores of another run are not those that were asked for.
    """

    deployment: DeploymentName
    run: str
    items: tuple[GoldenItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamScores:
    """Node to control: scores, 0 to 1, of the first items of an exam, for both versions."""

    deployment: DeploymentName
    run: str
    old: tuple[float, ...]
    new: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The steps of a change, and the bounds within which the new version must stay.

    At each of ``steps`` (percent of requests) it stays for ``minutes`` and ``requests`` of its own.
    ``nodes`` is the share of nodes that try it before the last step. ``latency`` bounds the ratio
    of the 90th percentiles, new to old; ``errors`` and ``quality`` are points that it may be worse
    by. With ``golden``, so many scores of the same items must be given for both before the first
    step is passed; ``items`` are asked by a node itself, and without ``golden`` all of them count.
    """

    steps: tuple[int, ...] = (1, 5, 25, 100)
    minutes: int = 10
    requests: int = 200
    nodes: float = 1.0
    latency: float = 1.15
    errors: float = 0.5
    quality: float = 2.0
    golden: int = 0
    items: tuple[GoldenItem, ...] = ()

    @property
    def scores(self) -> int:
        """How many scores are needed; 0: none."""
        return self.golden or len(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What requests to one of both versions took: seconds to the first token and for each further.

    ``failed`` of ``total`` requests got no answer; those that callers gave up count as neither.
    """

    firsts: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    failed: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Whether a step is passed, failed, or needs to be watched for longer; and why, in words."""

    verdict: Literal["accept", "reject", "more"]
    why: str
