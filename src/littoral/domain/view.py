"""What the admin API takes and answers where a noun alone does not say enough."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.deployment import DeploymentSpec
from littoral.domain.endpoint import Endpoint, Fit
from littoral.domain.ids import DeploymentName, ModelName, NodeId
from littoral.domain.limits import NO_LIMITS, Limits, Period
from littoral.domain.model import ModelSpec, VersionSpec, VersionStatus
from littoral.domain.project import Key, Scope
from littoral.domain.release import WITHIN_S, UpdateAct, UpdateState, WheelFile
from littoral.domain.resource import Change, Kind
from littoral.domain.rollout import RolloutAct, RolloutState
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.domain.usage import UsageRecord, UsageSum

DeploymentPhase: TypeAlias = Literal["pending", "ready", "degraded", "failed"]
HIDDEN = "***"
"""Stands where a write-only value is; written back, it keeps that value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentMetadata:
    """Name and labels of a declared document; ``version`` asks that this is the present one."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One declared thing as people write it, its spec not yet read.

    What a resource answers with may be applied again: its ``version`` then must be the present
    one, and its times are ignored.
    """

    kind: Kind
    metadata: DocumentMetadata
    spec: Mapping[str, object] = field(default_factory=dict[str, object])
    version: int | None = None
    created_us: int | None = None
    updated_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """Documents to make true, all checked before the first is written."""

    documents: tuple[Document, ...]
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What applying did, or would do, one entry a document."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A key to mint."""

    name: str
    project: str = "default"
    scopes: tuple[Scope, ...] = ("infer",)
    models: tuple[str, ...] = ("*",)
    limits: Limits = NO_LIMITS
    expires_in_days: float | None = None
    survives: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What is to be different about a key; an empty tag takes it away."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedKey:
    """A new key and, this once, its whole text."""

    key: Key
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """Which version to obtain; ``catalogue`` names the entry that a new model is made from."""

    version: str | None = None
    catalogue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version, how far obtaining it has come, and whether it fits the known machine."""

    spec: VersionSpec
    status: VersionStatus | None = None
    fit: Fit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model, its versions and the deployments that use it."""

    name: ModelName
    description: str
    versions: tuple[VersionView, ...]
    deployments: tuple[DeploymentName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A model that can be pulled by name alone."""

    name: str
    spec: ModelSpec
    present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedEndpoint:
    """An endpoint and the node it runs on."""

    node: NodeId
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """What was declared, what runs, and in one sentence why they differ."""

    name: DeploymentName
    serves: str
    spec: DeploymentSpec
    version: int
    phase: DeploymentPhase
    why: str
    endpoints: tuple[PlacedEndpoint, ...] = ()
    fit: Fit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRows:
    """A usage report."""

    rows: tuple[UsageSum, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecords:
    """Every attempt of one request."""

    records: tuple[UsageRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerView:
    """Which key signs snapshots, which one will be next (both by id), and the last change."""

    present: str
    next: str
    changed_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Control in one look: counts of nodes by state, deployments by phase, models by phase."""

    cluster: str
    build: str
    started_us: Micros
    revision: int
    nodes: Mapping[str, int]
    deployments: Mapping[str, int]
    models: Mapping[str, int]
    blobs_free: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRequest:
    """Two versions, each ``model@version``."""

    parent: str
    child: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaView:
    """What a version costs on the way to a node that has its parent, in bytes.

    ``delta`` is that of ``tensors`` that differ, kept for nodes where it saves enough. ``adapter``
    is set where both have the same weights: then only the files beside them come.
    """

    parent: str
    child: str
    whole: Bytes
    delta: Bytes | None = None
    tensors: int = 0
    kept: bool = False
    adapter: Bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """How far a changed deployment is: the share that gets the new model, and what was found.

    ``requests`` and ``failed`` are those of the new version at this step; ``scored`` are golden
    items, of ``golden`` that must be.
    """

    deployment: str
    state: RolloutState
    old: str
    new: str
    percent: int
    since_us: Micros
    requests: int
    failed: int
    scored: int
    why: str
    golden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareView:
    """What one node may use of one limit without asking anybody, as it said last.

    ``money`` is in the period that began at ``since_us``, ``standing`` in each later one, ``taken``
    of it is spent or reserved, as far as is known; ``cap`` is the whole budget. All are in the
    platform's currency. ``rate`` is the part of what may be used a minute, from 0 to 1, and
    ``concurrent`` the requests at one time. A node that is not ``connected`` keeps what it has.
    ``waiting``: it was sent another share and has not answered. ``doubtful``: control was restored
    and has not heard of it since. ``beyond``: it says that it holds more than it was given, which
    does not count.
    """

    limit: str
    node: NodeId
    period: Period | None
    since_us: Micros
    cap: float
    money: float
    standing: float
    taken: float
    rate: float
    concurrent: int
    connected: bool
    waiting: bool
    doubtful: bool
    beyond: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutWish:
    """What an operator wants of a rollout."""

    act: RolloutAct


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores from 0 to 1 of the same golden items, in the same order, for both versions."""

    old: tuple[float, ...]
    new: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelUpload:
    """A wheel on its way to control, under its file name."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """Wheels that were sent, and make one release."""

    wheels: tuple[WheelFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateWish:
    """Which nodes shall run which release: the share ``canary`` first, all of ``sites`` after it.

    ``minutes`` the first must have been healthy for; ``within_s`` each has to prove itself.
    """

    version: str
    canary: float = 0.1
    sites: tuple[str, ...] = ()
    minutes: float = 10.0
    within_s: Seconds = WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateActWish:
    """What an operator wants of the update."""

    act: UpdateAct


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedNode:
    """One node of an update: what it runs, whether it is among the first, how far its order is."""

    node: NodeId
    name: str
    site: str
    runs: str
    first: bool
    phase: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateView:
    """An update as people see it; ``everyone``: the first nodes were healthy, the others follow."""

    version: str
    state: UpdateState
    everyone: bool
    canary: float
    sites: tuple[str, ...]
    since_us: Micros
    why: str
    nodes: tuple[UpdatedNode, ...]
