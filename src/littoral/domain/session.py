"""Frames between a node and control, and between a node and its gateway.

One definition for every transport: a channel carries these records in order, both ways. Numbers
are part of the wire: they are only ever added, and fields are only ever appended with defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from littoral.domain.endpoint import Endpoint, Folded
from littoral.domain.ids import NodeId
from littoral.domain.node import Level, NodeStatus
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.domain.usage import StoredRecord

PROTOCOL = 1
"""The version of the session that this build speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A node opens its session: who it is, which outbox it has, which snapshot it serves."""

    protocol: int
    node: NodeId
    name: str
    boot: str
    build: str
    outbox: str
    snapshot: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Control's answer: the beat, and the last record applied of that outbox."""

    protocol: int
    server_us: Micros
    beat_s: Seconds
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life; ``status`` only when it changed."""

    number: int
    status: NodeStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOffer:
    """A newer desired state."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The node holds and serves this snapshot, or says why not."""

    epoch: int
    version: int
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Usage records in order of seq, without a gap."""

    outbox: str
    rows: tuple[StoredRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Every record up to and including ``upto`` is applied and synced."""

    outbox: str
    upto: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """The sender ends the session on purpose."""

    code: str
    after_s: Seconds = Seconds(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Node to gateway: what to serve from, and each limit's row of the quota table."""

    snapshot: Snapshot
    rows: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Node to gateway: every endpoint and its state."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Node to gateway: learned coefficients."""

    folds: tuple[Folded, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Gateway to node: these slots of the flight table hold finished requests."""

    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """Node to gateway: the records of these slots are synced; the slots may be used again."""

    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Gateway to node, four times a second: it lives, and its figures."""

    number: int
    connections: int
    in_flight: int
    lag_s: Seconds
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Gateway to node: something that people should know; it becomes an event."""

    level: Level
    code: str
    message: str


Frame: TypeAlias = (
    Hello
    | Welcome
    | Beat
    | SnapshotOffer
    | Applied
    | Records
    | Stored
    | Goodbye
    | Tables
    | Endpoints
    | Folds
    | Settled
    | Freed
    | Pulse
    | Said
)

FRAMES: Mapping[int, type[Frame]] = {
    0: Hello,
    1: Welcome,
    2: Beat,
    8: SnapshotOffer,
    9: Applied,
    13: Records,
    14: Stored,
    17: Goodbye,
    64: Tables,
    65: Endpoints,
    66: Folds,
    67: Settled,
    68: Freed,
    69: Pulse,
    90: Said,
}
"""Number of each frame on the wire; 64 and above stay on one host."""
