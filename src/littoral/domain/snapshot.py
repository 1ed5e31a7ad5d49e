"""Snapshot: everything a node needs to serve without asking anybody; and how it travels.

A snapshot travels as a signed manifest and as parts, each named by the SHA-256 of its compressed
bytes: the signature covers the manifest, the manifest covers the parts, and only those parts are
sent that a node lacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from littoral.domain.audit import Standing
from littoral.domain.deployment import Assignment
from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.policy import Policy
from littoral.domain.prior import FleetPrior, PriorsPart
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.reach import Spot
from littoral.domain.rollout import Exam
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros

FORMAT: Final = 1
"""Version of manifest and parts that this build writes; it reads this one."""
FEATURES: Final[frozenset[str]] = frozenset()
"""What a snapshot may require of a node, as far as this build has it."""
HOME_SITE: Final = "default"
"""Where nodes are that joined no other site; the control plane's own node is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Desired state for one node. (epoch, version) only ever rises; a restore raises the epoch.

    ``pepper`` keys the MACs in ``keys``; it belongs to this node's site. ``limits`` are by limit
    id, of those keys, projects and models that have any; ``keeping`` is of those projects whose
    responses are not kept as usual. ``signers`` are the public keys, by id, whose snapshots the
    node takes after this one: the present one and the next. ``neighbours`` are all nodes, this one
    too, and where they stand: calls of others are not answered.
    """

    epoch: int
    version: int
    issued_us: Micros
    node: NodeId
    pepper: bytes
    keys: tuple[KeyGrant, ...]
    assignments: tuple[Assignment, ...]
    traffic: tuple[TrafficGrant, ...] = ()
    limits: Mapping[str, Limits] = field(default_factory=dict[str, Limits])
    keeping: Mapping[ProjectId, Keeping] = field(default_factory=dict[ProjectId, Keeping])
    neighbours: Mapping[NodeId, Spot] = field(default_factory=dict[NodeId, Spot])
    cluster: str = ""
    site: str = HOME_SITE
    not_after_us: Micros | None = None
    signers: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    unread: tuple[str, ...] = ()
    """What of it this build could not read, for people: it is left out, with what it bounds."""
    policies: tuple[Policy, ...] = ()
    standings: tuple[Standing, ...] = ()
    """What audits say, of those policies that have any."""
    priors: Mapping[str, FleetPrior] = field(default_factory=dict[str, FleetPrior])
    """What predictors begin with, by the names of kinds of engines."""
    exams: tuple[Exam, ...] = ()
    """Golden items that this node asks both versions of deployments that change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRef:
    """A part as the manifest names it: SHA-256 of its compressed bytes, and how many they are."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is signed: whose snapshot, which one, how long it holds, and its parts by name.

    ``requires`` names features without which a node must not serve from it. ``signers`` are ids of
    keys: the one that signs now and the next.
    """

    format: int
    cluster: str
    site: str
    node: NodeId
    epoch: int
    version: int
    issued_us: Micros
    not_after_us: Micros | None
    requires: tuple[str, ...]
    signers: tuple[str, ...]
    parts: Mapping[str, PartRef]

    @property
    def number(self) -> tuple[int, int]:
        """(epoch, version)."""
        return self.epoch, self.version

    @property
    def content(self) -> str:
        """The same for all manifests of the same parts, whatever their numbers and dates."""
        return " ".join(f"{name}={ref.sha256}" for name, ref in sorted(self.parts.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysPart:
    """Parts ``keys/00`` to ``keys/0f``: keys by the first four bits of SHA-256 of their ids."""

    keys: tuple[KeyGrant, ...]
    unread: tuple[str, ...] = ()
    """Ids of those that this build could not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentsPart:
    """Part ``deployments``: what this node shall serve."""

    assignments: tuple[Assignment, ...]
    unread: tuple[str, ...] = ()
    """Names of those that this build could not read."""
    exams: tuple[Exam, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesPart:
    """Part ``policies``: how projects' requests and responses are treated, and who else serves."""

    traffic: tuple[TrafficGrant, ...]
    keeping: Mapping[ProjectId, Keeping]
    neighbours: Mapping[NodeId, Spot] = field(default_factory=dict[NodeId, Spot])
    unread: tuple[str, ...] = ()
    """Projects whose policy this build could not read, and neighbours (``nd_...``)."""
    placement: tuple[Policy, ...] = ()
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsPart:
    """Part ``limits``: bounds of keys, projects and models."""

    limits: Mapping[str, Limits]
    unread: tuple[str, ...] = ()
    """Ids of those that this build could not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPart:
    """Part ``trust``: the site's pepper, and the public keys that sign this and later snapshots."""

    pepper: bytes
    signers: Mapping[str, bytes]


Part: TypeAlias = KeysPart | DeploymentsPart | PoliciesPart | LimitsPart | TrustPart | PriorsPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Whose snapshots a node takes before it has any: cluster, site, and public keys by id."""

    cluster: str
    site: str
    signers: Mapping[str, bytes]
