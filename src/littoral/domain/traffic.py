"""Traffic: how a project's requests share what is served with those of others."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from littoral.domain.guard import UNGUARDED, Guard
from littoral.domain.ids import ProjectId
from littoral.domain.reach import Residency
from littoral.domain.units import Tokens

Priority: TypeAlias = Literal["interactive", "default", "batch", "best-effort"]
"""Who goes first where requests wait, highest first."""
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticPolicy:
    """Questions that mean nearly the same get the same answer.

    ``model`` makes the embeddings; ``threshold`` is the least cosine, 0.5 to 1.
    """

    model: str
    threshold: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Which answers of a project are given again, and how long.

    ``ttl_s`` is how long, seconds. Only answers that asking twice should not change are kept,
    unless ``every`` one is wanted.
    """

    ttl_s: float = 300.0
    every: bool = False
    semantic: SemanticPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrownoutPolicy:
    """What a project gives up before its requests are refused, in this order.

    It begins when requests are expected to wait longer than ``after_s``: answers of at most
    ``shorter`` tokens, another model (``smaller``), answers from the cache whose time is over
    (``cached``), and refusal of what is not interactive (``refuse``).
    """

    after_s: float = 2.0
    shorter: Tokens | None = None
    smaller: str | None = None
    cached: bool = False
    refuse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficGrant:
    """A project's settings as a gateway needs them; ``ProjectSpec`` says what they mean."""

    project: ProjectId
    weight: float = 1.0
    priority: Priority = "default"
    cache: CachePolicy | None = None
    brownout: BrownoutPolicy | None = None
    hedge: bool = False
    guard: Guard = UNGUARDED
    residency: Residency = "any"
