"""Snapshot: everything a node needs to serve without asking anybody."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from littoral.domain.deployment import Assignment
from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Desired state for one node. (epoch, version) only ever rises; a restore raises the epoch.

    ``pepper`` keys the MACs in ``keys``; it belongs to this node's site. ``limits`` are by limit
    id, of those keys, projects and models that have any; ``keeping`` is of those projects whose
    responses are not kept as usual.
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
