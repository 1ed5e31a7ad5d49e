"""Resource: what people declare in YAML, stored with a version, and what a change would do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.deployment import DeploymentSpec, UpstreamSpec
from littoral.domain.model import ModelSpec
from littoral.domain.policy import PolicySpec
from littoral.domain.project import ProjectSpec
from littoral.domain.site import SiteSpec
from littoral.domain.units import Micros

Kind: TypeAlias = Literal["Project", "Site", "Model", "Upstream", "Deployment", "Policy"]
Spec: TypeAlias = ProjectSpec | SiteSpec | ModelSpec | UpstreamSpec | DeploymentSpec | PolicySpec
SPECS: Mapping[Kind, type[Spec]] = {
    "Project": ProjectSpec,
    "Site": SiteSpec,
    "Model": ModelSpec,
    "Upstream": UpstreamSpec,
    "Deployment": DeploymentSpec,
    "Policy": PolicySpec,
}
Action: TypeAlias = Literal["create", "update", "unchanged", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A resource's name and labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One declared thing. ``version`` rises by one with each change of it, from 1."""

    kind: Kind
    metadata: Metadata
    spec: Spec
    version: int = 0
    created_us: Micros = Micros(0)
    updated_us: Micros = Micros(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What applying one document does, or would do."""

    kind: Kind
    name: str
    action: Action
    fields: tuple[str, ...] = ()
