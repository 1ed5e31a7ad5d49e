"""Frames between a node and its gateways, on one host.

They are numbered in ``domain/session.py`` with all others, and imported from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.audit import Finding, Vote
from littoral.domain.deferral import Deferral, DeferralState
from littoral.domain.endpoint import Endpoint, Folded
from littoral.domain.ids import EndpointId, ProjectId
from littoral.domain.node import Level
from littoral.domain.response import ResponseStatus, StoredResponse
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord

LookAct: TypeAlias = Literal["show", "thread", "follow", "halt", "drop", "list", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Node to gateway: what to serve from, and each limit's row of the quota table."""

    snapshot: Snapshot
    rows: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Node to gateway: every endpoint and its state, and where its load is shared."""

    endpoints: tuple[Endpoint, ...]
    loads: Mapping[EndpointId, int] = field(default_factory=dict[EndpointId, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Node to gateway: how this node stands to control.

    ``offline``: control cannot be reached, and responses say so. ``ended``: it has not been for so
    long that the snapshot's life is over. ``skew_us`` added to the system's clock gives the node's.
    """

    offline: bool = False
    ended: bool = False
    skew_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Node to gateway: whether usage can still be recorded.

    ``full``: it cannot, so that what must be counted is refused. ``unmetered``: what has no budget
    is served all the same.
    """

    full: bool = False
    unmetered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Node to gateway: say this number in a pulse; whatever was begun before is over by then."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Node to gateway: learned coefficients, and how long answers are.

    ``lengths`` has, by what ``cost.length.kind_of`` makes of tag, key and model, the median in
    tokens and the log half-width from it to p90.
    """

    folds: tuple[Folded, ...]
    lengths: Mapping[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])


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
    serves: tuple[int, int] = (0, 0)
    """(epoch, version) of the snapshot it serves from; it pulses at once when that changed."""
    fence: int = 0
    """The last fence that it met; it pulses at once when it meets one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Gateway to node: something that people should know; it becomes an event."""

    level: Level
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Gateway to node, for control: an audit ended."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """Gateway to node, for control: a caller voted."""

    vote: Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Gateway to node: keep this response, and run it if it is queued. ``Shelved`` answers."""

    number: int
    response: StoredResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Gateway to node, about a stored response; ``Shelved`` answers.

    ``thread`` shows all that it continues, too; ``follow`` shows it and then sends the events of
    its stream, ``Heard`` by heard; ``halt`` cancels one in the background; ``drop`` deletes it.

    So of a deferral, which its id tells: ``show`` comes without its answer and ``thread`` with it,
    ``drop`` cancels it where it has not ended. ``list`` shows up to ``limit`` deferrals of lower
    numbers than ``before``, and ``same`` the one of that idempotency key, if there is one.
    """

    number: int
    project: ProjectId
    response: str
    act: LookAct = "show"
    before: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Gateway to node: nobody follows under this number any more."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """Node to gateway: what was asked for, or the status, code and message of why not."""

    number: int
    responses: tuple[StoredResponse, ...] = ()
    status: int = 0
    code: str = ""
    message: str = ""
    deferrals: tuple[Deferral, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Node to gateway: ask an engine for this response; ``Told`` and one ``Ran`` answer."""

    run: int
    response: StoredResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Quit:
    """Node to gateway: stop that run; nothing more is heard of it."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Gateway to node: further events of a run."""

    run: int
    events: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Gateway to node: a run ended; or it may go on in ``again_s`` seconds, where that is set.

    ``counted`` says that an engine was asked in vain, so that it may not go on for ever.
    """

    run: int
    status: ResponseStatus
    body: bytes = b""
    reason: str = ""
    again_s: Seconds | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Node to gateway: further events of a response that is followed; ``ended`` are the last."""

    number: int
    events: bytes
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Defer:
    """Gateway to node: keep this request until a place can serve it. ``Shelved`` answers."""

    number: int
    deferral: Deferral


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """Node to gateway: ask an engine for this; one ``Carried`` answers, also after ``Quit``.

    Its runs have negative numbers, so that none is that of a response.
    """

    run: int
    deferral: Deferral


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Gateway to node: how a run ended; it may go on in ``again_s`` seconds, where that is set.

    ``counted`` says that an engine was asked in vain, so that it may not go on for ever.
    """

    run: int
    state: DeferralState
    reason: str = ""
    media: str = ""
    answer: bytes = b""
    usage: UsageRecord | None = None
    again_s: Seconds | None = None
    counted: bool = False
