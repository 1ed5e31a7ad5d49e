"""Project and Key: who a request belongs to, and what it may do."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from littoral.domain.guard import UNGUARDED, Guard
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.limits import NO_LIMITS, Limits
from littoral.domain.reach import Residency
from littoral.domain.traffic import BrownoutPolicy, CachePolicy, Priority
from littoral.domain.units import Micros

Scope: TypeAlias = Literal["infer", "read", "write", "keys", "admin"]
"""What a key may do: call models, read resources and usage, change resources, mint and revoke
keys, everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Whether a project's responses are stored, and for how many days.

    ``asked`` stores those whose request says so, ``always`` all whose request does not say no, and
    ``never`` refuses to.
    """

    store: Literal["asked", "always", "never"] = "asked"
    days: int = 30


KEEPING = Keeping()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """The tenant: keys, deployments and usage belong to one.

    Where requests wait, projects get engine time in proportion to their ``weight``; ``priority`` is
    the highest that a request may ask for, and what it gets where it asks for none, but not more
    than ``default``. ``limits`` bound all its keys together. ``cache`` and ``brownout`` are off
    where they are not given; ``hedge`` allows a second try of requests that are slow to answer.
    ``guard`` filters what its requests carry; ``residency`` says where they may be.
    """

    title: str = ""
    weight: float = 1.0
    priority: Priority = "default"
    limits: Limits | None = None
    responses: Keeping = KEEPING
    cache: CachePolicy | None = None
    brownout: BrownoutPolicy | None = None
    hedge: bool = False
    guard: Guard = UNGUARDED
    residency: Residency = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What control keeps of an API key: never its secret.

    One that ``survives`` goes on calling engines of a node whose snapshot's life is over. ``tag``
    says of what kind its requests are; empty: policies say it.
    """

    id: KeyId
    project: ProjectId
    name: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ("*",)
    limits: Limits = NO_LIMITS
    created_us: Micros
    expires_us: Micros | None = None
    revoked_us: Micros | None = None
    survives: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGrant:
    """A key as a gateway needs it: the MAC of its secret and what it may do."""

    id: KeyId
    mac: bytes
    project: ProjectId
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ("*",)
    expires_us: Micros | None = None
    revoked: bool = False
    survives: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever was authenticated, for one request to control."""

    key: KeyId
    project: ProjectId
    scopes: tuple[Scope, ...]
