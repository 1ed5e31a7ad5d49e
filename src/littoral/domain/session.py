"""Frames between a node and control, and between a node and its gateway.

One definition for every transport: a channel carries these records in order, both ways. Numbers
are part of the wire: they are only ever added, and fields are only ever appended with defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from littoral.domain.blob import BlobAsk, BlobOffer, BlobProgress, BlobsHeld
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import NodeId
from littoral.domain.lane import INFERENCE, TELEMETRY
from littoral.domain.link import LIVELY, SPREAD_S
from littoral.domain.local import (
    Carried,
    Carry,
    Defer,
    Endpoints,
    Fence,
    Folds,
    Freed,
    Heard,
    Judged,
    Keep,
    Leave,
    Look,
    Pulse,
    Quit,
    Ran,
    Reach,
    Recording,
    Run,
    Said,
    Settled,
    Shelved,
    Tables,
    Told,
    Voted,
)
from littoral.domain.neighbour import Greeting, PieceAnswer, PieceAsk
from littoral.domain.node import NodeStatus
from littoral.domain.outbox import Batch, Lane, Mark
from littoral.domain.prior import Coefficients, PriorsPart
from littoral.domain.release import UpdateOrder, UpdateReport
from littoral.domain.rollout import ExamScores
from littoral.domain.share import Drawn, Shares
from littoral.domain.snapshot import (
    DeploymentsPart,
    KeysPart,
    LimitsPart,
    Manifest,
    PoliciesPart,
    TrustPart,
)
from littoral.domain.stream import CallHead, ReplyHead, ResetCode
from littoral.domain.units import Micros, Seconds
from littoral.domain.upkeep import Do, Done, Issued, Renew, Revoke

PROTOCOL = 1
"""The newest version of the session that this build speaks."""
LEAST_PROTOCOL = 1
"""The oldest one: those of the last two minor releases are spoken."""


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
    least: int = LEAST_PROTOCOL
    """The oldest protocol that the node speaks; ``protocol`` is the newest."""
    shares: bool = False
    """Whether it begins by saying what it holds of each limit, before it takes a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Control's answer: the beat, and how far each lane of that outbox is applied, and safe.

    Who is silent for ``suspect_s`` is doubted, for ``lost_s`` given up. A node that is turned away
    comes back at any time within ``spread_s``. One that is welcome begins to send what waits at a
    moment of its own choice within ``flush_s``: all nodes may be back at once.
    """

    protocol: int
    server_us: Micros
    beat_s: Seconds
    stored: Mapping[Lane, Mark] = field(default_factory=dict[Lane, Mark])
    safe: Mapping[Lane, int] = field(default_factory=dict[Lane, int])
    suspect_s: Seconds = LIVELY.suspect_s
    lost_s: Seconds = LIVELY.lost_s
    spread_s: Seconds = SPREAD_S
    flush_s: Seconds = Seconds(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life; ``status`` only when it changed."""

    number: int
    status: NodeStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOffer:
    """A newer desired state: the signed manifest of its parts (compact JWS), and control's time."""

    manifest: bytes
    server_us: Micros | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The node holds and serves this snapshot, or says why not.

    Where it does, ``unread`` counts what of it this build could not read and leaves out, and
    ``reason`` names that.
    """

    epoch: int
    version: int
    ok: bool
    reason: str = ""
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsWanted:
    """The node lacks these parts, by digest, of the snapshot that was offered last."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPiece:
    """Bytes of a wanted part from ``at`` on; pieces come in order, the last ends the part."""

    digest: str
    at: int
    piece: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Rows of one lane of an outbox."""

    outbox: str
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A lane is applied and synced up to ``mark``, and kept on another box, too, up to ``safe``."""

    outbox: str
    lane: Lane
    mark: Mark
    safe: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    """The sender ends the session on purpose."""

    code: str
    after_s: Seconds = Seconds(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """So many body bytes of a stream are allowed in all; said twice it means the same."""

    stream: int
    upto: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A call begins. Streams have numbers of their own on each channel, and are never reused."""

    stream: int
    head: CallHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Bytes of a call or of its answer; ``fin`` are the last. Answers begin and end with a head."""

    stream: int
    body: bytes = b""
    fin: bool = False
    head: ReplyHead | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A call ends here, whatever was still to come; ``retryable`` where another try may help."""

    stream: int
    code: ResetCode
    retryable: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remotes:
    """Control to node: every endpoint of other nodes that it may send requests to, and how.

    ``peers`` are hints: where other nodes say that they listen for it.
    """

    endpoints: tuple[Endpoint, ...]
    peers: Mapping[NodeId, str] = field(default_factory=dict[NodeId, str])


Frame: TypeAlias = (
    Hello
    | Welcome
    | Beat
    | SnapshotOffer
    | Applied
    | PartsWanted
    | PartPiece
    | Records
    | Stored
    | Revoke
    | Renew
    | Issued
    | Do
    | Done
    | Goodbye
    | BlobAsk
    | BlobOffer
    | BlobProgress
    | BlobsHeld
    | Shares
    | Drawn
    | UpdateOrder
    | UpdateReport
    | ExamScores
    | Tables
    | Endpoints
    | Folds
    | Reach
    | Recording
    | Fence
    | Settled
    | Freed
    | Pulse
    | Said
    | Judged
    | Voted
    | Keep
    | Look
    | Leave
    | Shelved
    | Run
    | Quit
    | Told
    | Ran
    | Heard
    | Defer
    | Carry
    | Carried
    | Credit
    | Open
    | Data
    | Reset
    | Remotes
    | Greeting
    | PieceAsk
    | PieceAnswer
    | Manifest
    | KeysPart
    | DeploymentsPart
    | PoliciesPart
    | LimitsPart
    | TrustPart
    | PriorsPart
    | Coefficients
)

FRAMES: Mapping[int, type[Frame]] = {
    0: Hello,
    1: Welcome,
    2: Beat,
    4: Credit,
    5: Open,
    6: Data,
    7: Reset,
    8: SnapshotOffer,
    9: Applied,
    10: Revoke,
    11: Renew,
    12: Issued,
    13: Records,
    14: Stored,
    15: Do,
    16: Done,
    17: Goodbye,
    18: PartsWanted,
    19: PartPiece,
    33: BlobAsk,
    34: BlobOffer,
    35: BlobProgress,
    36: BlobsHeld,
    41: Remotes,
    42: Greeting,
    43: PieceAsk,
    44: PieceAnswer,
    49: Shares,
    50: Drawn,
    56: UpdateOrder,
    57: UpdateReport,
    60: Coefficients,
    61: ExamScores,
    64: Tables,
    65: Endpoints,
    66: Folds,
    67: Settled,
    68: Freed,
    69: Pulse,
    70: Reach,
    71: Fence,
    72: Recording,
    90: Said,
    100: Keep,
    101: Look,
    102: Leave,
    103: Shelved,
    104: Run,
    105: Quit,
    106: Told,
    107: Ran,
    108: Heard,
    109: Defer,
    110: Carry,
    111: Carried,
    112: Judged,
    113: Voted,
    120: Manifest,
    121: KeysPart,
    122: DeploymentsPart,
    123: PoliciesPart,
    124: LimitsPart,
    125: TrustPart,
    126: PriorsPart,
}
"""Number of each frame on the wire; from 64 on they stay on one host, and from 120 on they are no
frames of a session but what snapshots are made of."""

LANES: Mapping[type[Frame], int] = {
    PartPiece: INFERENCE,
    Open: INFERENCE,
    Data: INFERENCE,
    Reset: INFERENCE,
    Remotes: INFERENCE,
    Records: TELEMETRY,
    Coefficients: TELEMETRY,
    ExamScores: TELEMETRY,
    PieceAnswer: TELEMETRY,
}
"""Lane of each frame between a node and control; those not named here are in the control lane.

A reset is in the lane of what it ends, so that it never overtakes the opening of its stream.
"""
