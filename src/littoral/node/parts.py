"""Parts: everything a node asks of the world, as one record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from littoral.domain.deferral import DeferralStore
from littoral.domain.endpoint import Machine
from littoral.domain.ports import (
    Blobs,
    Chance,
    Clock,
    Disk,
    Failpoints,
    Network,
    Outbox,
    Registry,
    Sink,
    Tunnel,
)
from littoral.domain.quota import QuotaTable
from littoral.domain.release import Versions
from littoral.domain.response import ResponseStore
from littoral.domain.session import Frame
from littoral.domain.snapshot import Anchors
from littoral.node.backoff import Patience
from littoral.node.carrying import DeferralBounds
from littoral.node.fetching import Fetching
from littoral.node.gateway import Launch
from littoral.node.identity import Identity
from littoral.node.overheard import Overheard
from littoral.node.peers import Peering
from littoral.node.redial import NEAR, Pace
from littoral.node.strain import unstrained
from littoral.node.tending import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """Everything a node asks of the world.

    ``fetching`` is what a node needs that does not share control's blobs, ``tunnel`` where control
    itself is elsewhere: it leads to the admin API, ``peering`` what a node has that joined.
    ``session`` is the address of control's session listener; ``flights`` the mapped flight
    tables of all gateways, and of those that there were; ``quota`` the quota table, in which column
    0 is ours and that of gateway n is n + 1; ``report`` is told role and pid of all
    children; ``unpack`` turns bytes into frames; ``anchors`` says whose snapshots to take before
    there is one, None where no control plane is known yet; ``joined`` is whether control is on
    another machine; ``serve_unmetered`` is whether what has no budget is served while usage cannot
    be recorded; ``overheard`` has events of the outbox; ``versions`` are how it comes to another
    version of itself, None where it cannot.
    """

    identity: Identity
    network: Network
    session: str
    registry: Registry
    blobs: Blobs
    outbox: Outbox
    responses: ResponseStore
    deferrals: DeferralStore
    disk: Disk
    clock: Clock
    chance: Chance
    failpoints: Failpoints
    sink: Sink
    unpack: Callable[[bytes], Frame]
    anchors: Callable[[], Anchors | None]
    flights: Sequence[memoryview]
    quota: QuotaTable
    gateways: Sequence[Launch]
    machine: Callable[[], Machine]
    report: Callable[[dict[str, int]], None]
    patience: Patience
    tools: Tools
    pace: Pace = NEAR
    deferral_bounds: DeferralBounds = field(default_factory=DeferralBounds)
    fetching: Fetching | None = None
    peering: Peering | None = None
    joined: bool = False
    serve_unmetered: bool = False
    versions: Versions | None = None
    tunnel: Tunnel | None = None
    overheard: Overheard = field(default_factory=Overheard)
    strain: Callable[[Sequence[int]], float] = unstrained
