"""World: the ports and facts that control takes from the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from littoral.control.event import Events
from littoral.control.fleet import DISCONNECTED_S
from littoral.control.remote import LOOK_S
from littoral.control.session import COALESCE_S
from littoral.control.worker import Workers
from littoral.domain.chunk import ChunkStore
from littoral.domain.enrolment import CLOSED, Doors
from littoral.domain.ids import Digest
from littoral.domain.model import ModelSpec
from littoral.domain.pipe import Remote
from littoral.domain.ports import (
    Blobs,
    Clock,
    Entropy,
    Failpoints,
    Inbox,
    Ledger,
    Network,
    Obtainer,
    Registry,
    State,
    Tunnel,
)
from littoral.domain.session import Frame
from littoral.domain.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParts:
    """Everything control takes from the app.

    ``events`` is also the Sink for whatever else runs in this process. ``report`` takes a foreign
    error and what it interrupted, for the log. ``master_key`` is 32 bytes. ``pack`` encodes frames
    and parts of snapshots. ``first_start`` has run. ``workers`` run blocking calls. ``beside`` are
    blobs that a node needs which shares this store, whatever is declared; it blocks.
    """

    state: State
    ledger: Ledger
    inbox: Inbox
    chunks: ChunkStore
    blobs: Blobs
    obtainer: Obtainer
    registry: Registry
    network: Network
    clock: Clock
    entropy: Entropy
    failpoints: Failpoints
    events: Events
    report: Callable[[str, BaseException], None]
    catalogue: Mapping[str, ModelSpec]
    master_key: bytes
    pack: Callable[[Frame], bytes]
    build: str
    doors: Doors = CLOSED
    remote: Remote | None = None
    tunnel: Tunnel | None = None
    coalesce_s: Seconds = COALESCE_S
    silence_s: Seconds = DISCONNECTED_S
    look_s: Seconds = LOOK_S
    workers: Workers = field(default_factory=Workers)
    beside: Callable[[], frozenset[Digest]] = frozenset
