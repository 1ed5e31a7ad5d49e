"""Snapshot: everything a node needs to serve without asking anybody."""

from dataclasses import dataclass

from littoral.domain.deployment import Assignment
from littoral.domain.ids import NodeId
from littoral.domain.project import KeyGrant
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Desired state for one node. (epoch, version) only ever rises; a restore raises the epoch.

    ``pepper`` keys the MACs in ``keys``; it belongs to this node's site.
    """

    epoch: int
    version: int
    issued_us: Micros
    node: NodeId
    pepper: bytes
    keys: tuple[KeyGrant, ...]
    assignments: tuple[Assignment, ...]
    traffic: tuple[TrafficGrant, ...] = ()
