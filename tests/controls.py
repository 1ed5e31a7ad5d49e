"""A whole control on twins, for tests that need one behind something else."""

from dataclasses import dataclass, field
from typing import Any

from littoral.app.codec import pack
from littoral.control.event import Events
from littoral.control.parts import Control, assemble
from littoral.control.site import first_start
from littoral.control.vault import Vault
from littoral.control.world import ControlParts
from littoral.domain.enrolment import Doors, Invitation, Place
from littoral.domain.errors import UnknownName
from littoral.domain.units import Seconds
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.chunks import MemoryChunks
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.inbox import MemoryInbox
from littoral.testing.ledger import MemoryLedger
from littoral.testing.network import MemoryNetwork
from littoral.testing.obtainer import MemoryObtainer
from littoral.testing.state import MemoryState

URL = "https://127.0.0.1:8444"


class NoDrivers:
    """There are no engines and no sources."""

    def engine(self, kind: str) -> Any:
        raise UnknownName(kind)

    def source(self, scheme: str) -> Any:
        raise UnknownName(scheme)


@dataclass
class Cloud:
    """Control, and what it stands on; ``start`` again is a restart."""

    seed: int = 0
    url: str = URL
    state: Any = field(default_factory=MemoryState)
    clock: Any = field(default_factory=SettableClock)
    failpoints: ArmedFailpoints = field(default_factory=ArmedFailpoints)
    blobs: Any = field(default_factory=MemoryBlobs)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    chunks: MemoryChunks = field(default_factory=MemoryChunks)
    reports: list[tuple[str, BaseException]] = field(default_factory=list)
    control: Control = None  # type: ignore[assignment]
    parts: ControlParts = None  # type: ignore[assignment]

    def start(self) -> "Cloud":
        entropy = SeededEntropy(self.seed)
        master = bytes(range(32))
        first_start(
            self.state,
            Vault(master, entropy),
            clock=self.clock,
            entropy=entropy,
            disk=MemoryDisk(),
            admin_file="admin.key",
        )
        self.parts = ControlParts(
            state=self.state,
            ledger=MemoryLedger(),
            blobs=self.blobs,
            obtainer=MemoryObtainer(),
            registry=NoDrivers(),
            network=MemoryNetwork(),
            clock=self.clock,
            entropy=entropy,
            failpoints=self.failpoints,
            inbox=self.inbox,
            chunks=self.chunks,
            events=Events(self.inbox),
            report=lambda what, error: self.reports.append((what, error)),
            catalogue={},
            master_key=master,
            pack=pack,
            build="0.1.0",
            coalesce_s=Seconds(0.0),
            doors=Doors(
                public=Place(host="127.0.0.1", port=8444),
                session=Place(host="127.0.0.1", port=8445),
                public_url=self.url,
                session_url="wss://127.0.0.1:8445",
                names=("127.0.0.1",),
            ),
        )
        self.control = assemble(self.parts)
        return self

    def token(self, **wanted: Any) -> str:
        return self.control.desk.enrolments.invite(Invitation(**wanted)).token

    def events(self) -> list[str]:
        return [item.event.code for item in self.control.desk.events.after(0)]
