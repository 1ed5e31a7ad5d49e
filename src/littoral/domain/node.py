"""Node: a machine that serves; its status as control knows it; Event: what happened there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.endpoint import Endpoint, Machine
from littoral.domain.enrolment import SITE, Inventory, Tier
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.units import Bytes, Micros, Seconds

NodeState: TypeAlias = Literal[
    "joined",
    "connected",
    "suspect",
    "disconnected",
    "lost",
    "cordoned",
    "draining",
    "revoked",
    "replaced",
]
Mark: TypeAlias = Literal["", "cordoned", "draining", "revoked", "replaced"]
"""What an operator, or a machine that joined anew, decided of a node."""
GONE: tuple[Mark, ...] = ("revoked", "replaced")
"""Marks that are never taken off."""
Level: TypeAlias = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something people should know: an engine crashed, a model does not fit.

    ``count`` is above 1 where it is so many in a row about one subject, the first of them
    ``at_us``; ``message`` is that of the last.
    """

    at_us: Micros
    level: Level
    subject: str
    code: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast an engine was when it was probed: prompt and new tokens, and streams at a time."""

    endpoint: EndpointId
    tokens_in: int
    tokens_out: int
    streams: int
    first_s: Seconds
    total_s: Seconds
    at_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a machine's sensors and counters say at one time; None where it has none of a kind.

    ``hottest_c`` is the hottest zone in degrees Celsius, ``margin_c`` how far the zone that is
    nearest to its bound is below it. ``throttles`` counts how often a core was slowed down for its
    heat, ``cooling`` is whether one is now. ``memory_waits`` is the per cent of the last minute in
    which some task waited for memory, ``kills`` counts processes that the kernel ended for want of
    it. ``disk_used`` is the share of the data folder's file system in use, ``io_errors`` counts
    errors of its device. ``busy`` is the share of all cores' time in use since the last reading.
    """

    hottest_c: float | None = None
    margin_c: float | None = None
    throttles: int | None = None
    cooling: bool | None = None
    memory_waits: float | None = None
    kills: int | None = None
    disk_used: float | None = None
    io_errors: int | None = None
    read_only: bool = False
    busy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How well a node reaches control: round trip, goodput, and the share of time it did.

    0: not measured yet.
    """

    rtt_s: Seconds = Seconds(0.0)
    goodput: float = 0.0
    """Bytes a second that control acknowledged when there was enough to send."""
    availability: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The blobs on a node's disk: how many, their bytes, and those that nothing refers to now."""

    blobs: int
    size: Bytes
    unused: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What a node says of itself with each beat that brings a change."""

    machine: Machine
    endpoints: tuple[Endpoint, ...]
    snapshot: tuple[int, int]
    outbox_depth: int
    inventory: Inventory | None = None
    speeds: tuple[Speed, ...] = ()
    link: Link | None = None
    trouble: tuple[str, ...] = ()
    """What is wrong there, in sentences; empty where nothing is."""
    peer: str = ""
    """Where it listens for other nodes, ``ip:port``; empty where it does not."""
    store: Store | None = None
    """None where it shares control's disk, or was not looked at yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """How a node joined: the serials (hexadecimal) of its last two certificates, newest first."""

    joined_us: Micros
    serials: tuple[str, ...]
    until_us: Micros
    replaced_by: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as the fleet sees it.

    ``mark`` is what was decided of it, ``state`` what it looks like now.
    """

    id: NodeId
    name: str
    state: NodeState
    seen_us: Micros
    build: str
    status: NodeStatus | None = None
    site: str = SITE
    tier: Tier = "cloud"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    mark: Mark = ""
    inventory: Inventory | None = None
    enrolled: Enrolled | None = None
    """None: the node beside control, which needs no certificate."""
    heard: Link | None = None
    """How well control reaches it, as control measures it; None where there is no session."""
