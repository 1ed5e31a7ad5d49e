"""Node: a machine that serves; its status as control knows it; Event: what happened there."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from littoral.domain.endpoint import Endpoint, Machine
from littoral.domain.ids import NodeId
from littoral.domain.units import Micros

NodeState: TypeAlias = Literal["joined", "connected", "suspect", "disconnected"]
Level: TypeAlias = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something people should know: an engine crashed, a model does not fit."""

    at_us: Micros
    level: Level
    subject: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What a node says of itself with each beat that brings a change."""

    machine: Machine
    endpoints: tuple[Endpoint, ...]
    snapshot: tuple[int, int]
    outbox_depth: int
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as the fleet sees it."""

    id: NodeId
    name: str
    state: NodeState
    seen_us: Micros
    build: str
    status: NodeStatus | None = None
