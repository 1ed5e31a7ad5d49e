"""Cloud: the real control plane without its admin API, one life after the other."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

import anyio
from anyio import lowlevel

from littoral.control.desk import Desk
from littoral.control.event import Events
from littoral.control.parts import backstage, public_door
from littoral.control.public import PublicApi
from littoral.control.session import Sessions
from littoral.control.site import first_start
from littoral.control.vault import Vault
from littoral.control.worker import Workers
from littoral.control.world import ControlParts
from littoral.domain.enrolment import Invitation
from littoral.domain.errors import LittoralError
from littoral.domain.ids import NodeId
from littoral.domain.link import LIVELY, METERED, Peer
from littoral.domain.outbox import Batch, Receipt
from littoral.domain.ports import Chance, Network
from littoral.domain.reach import Spot
from littoral.domain.resource import Metadata, Resource
from littoral.domain.site import SiteSpec
from littoral.domain.units import Seconds
from littoral.lab.door import DOORS
from littoral.lab.engine import PlayedDriver
from littoral.lab.life import HostClock, Killed, Life
from littoral.lab.wan import Wan
from littoral.lab.wire import CloudCarrier, Ground, Wire
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.chunks import MemoryChunks
from littoral.testing.disk import MemoryDisk
from littoral.testing.entropy import SeededEntropy
from littoral.testing.inbox import MemoryInbox
from littoral.testing.ledger import MemoryLedger
from littoral.testing.obtainer import MemoryObtainer
from littoral.testing.state import MemoryState

MASTER_KEY = bytes(range(32))
DOWN = Seconds(30.0)
SYNC = Seconds(0.01)
T = TypeVar("T")


class SyncedState(MemoryState):
    """State whose writes are synced when they return."""

    life: Life

    def put_value(self, name: str, value: bytes | None) -> None:
        """Write or (None) remove a named fact."""
        self.life.check()
        super().put_value(name, value)
        self.life.hit("state.committed")


class SyncedLedger(MemoryLedger):
    """A ledger whose transactions are there as a whole or not at all."""

    life: Life

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply a batch in one transaction, synced when it returns."""
        self.life.check()
        return super().apply(node, outbox, batch)


class Inline(Workers):
    """Blocking calls in place, each taking the time of a sync.

    Args:
        chance: Draws that time.
        life: Of the process.
    """

    def __init__(self, chance: Chance, life: Life) -> None:
        super().__init__()
        self._chance = chance
        self._life = life

    async def state(self, call: Callable[[], T]) -> T:
        """Run a call that touches the state store."""
        await lowlevel.checkpoint()
        self._life.check()
        return call()

    async def ledger(self, call: Callable[[], T]) -> T:
        """Run a call that touches the ledger; a death may fall on either side of it."""
        await anyio.sleep(SYNC * self._chance.random())
        self._life.check()
        found = call()
        await anyio.sleep(SYNC * self._chance.random())
        return found

    async def files(self, call: Callable[[], T]) -> T:
        """Run a call that touches files."""
        return await self.state(call)


class Cloud:
    """Control, its stores, and what happens to them.

    Args:
        wan: Where it listens.
        wire: How frames are written and carried.
        chance: Draws times.
        passes: Counts failpoints.
        ledger: Where usage is booked.
        sites: Where its nodes will stand.

    Attributes:
        desk: The services of the present life; None while control is down.
        reports: Foreign errors that control met.
    """

    def __init__(
        self,
        wan: Wan,
        wire: Wire,
        *,
        chance: Chance,
        passes: Counter[str],
        ledger: SyncedLedger,
        sites: Mapping[str, SiteSpec],
    ) -> None:
        self.state = SyncedState()
        self.ledger: SyncedLedger = ledger
        self.inbox = MemoryInbox()
        self.clock = HostClock()
        self.desk: Desk | None = None
        self.reports: list[str] = []
        self.lives = 0
        self._wan = wan
        self._wire = wire
        self._trace = wan.trace
        self._chance = chance
        self._passes = passes
        self._entropy = SeededEntropy(int(chance.random() * 1e9))
        self.life = self._new_life()
        self._scope = anyio.CancelScope()
        metered = all(each.metered for each in sites.values())
        self._rhythm = METERED if metered else LIVELY
        self._down = DOWN
        self._back = anyio.Event()
        self._begun = anyio.Event()
        self._first_start(sites)

    def _new_life(self) -> Life:
        life = Life(lambda text: self._trace.note(f"control {text}"), self._passes)
        self.state.life = self.ledger.life = life
        return life

    def _first_start(self, sites: Mapping[str, SiteSpec]) -> None:
        vault = Vault(MASTER_KEY, self._entropy)
        first_start(
            self.state,
            vault,
            clock=self.clock,
            entropy=self._entropy,
            disk=MemoryDisk(),
            admin_file="admin.key",
        )
        now = self.clock.wall()
        for name in sorted(sites):
            site = Resource(
                kind="Site",
                metadata=Metadata(name=name),
                spec=sites[name],
                created_us=now,
                updated_us=now,
            )
            self.state.put(site)

    async def run(self) -> None:
        """Live again and again."""
        while True:
            await self._live()
            with anyio.move_on_after(self._down):
                await self._back.wait()
            self._down = DOWN

    def door(self) -> PublicApi | None:
        """What answers machines that join or renew; None while control is down."""
        return None if self.desk is None else public_door(self.desk)

    def token(self, spot: Spot) -> str | None:
        """A new join token, as an operator makes one; None where control gives none now."""
        wanted = Invitation(site=spot.site, tier=spot.tier)
        try:
            return None if self.desk is None else self.desk.enrolments.invite(wanted).token
        except LittoralError:
            return None
        except Killed:
            self.kill()
            return None

    async def present(self) -> Desk:
        """The services of control, once it is there."""
        await self._begun.wait()
        if self.desk is None:
            raise AssertionError("control began and ended at once")
        return self.desk

    # what happens to it

    def come_back(self) -> None:
        """Start at once, if it is down."""
        back, self._back = self._back, anyio.Event()
        back.set()

    def kill(self, down_s: Seconds = DOWN) -> None:
        """End the process; it comes back after a while."""
        self._down = Seconds(down_s * self._chance.random())
        self.life.over = True
        self._scope.cancel()

    def backup(self) -> SyncedState:
        """Copy what was declared, as it is."""
        return _copy(self.state)

    def roll_back(self, backup: SyncedState) -> None:
        """Lose every declaration since a backup; the ledger is another file, and stays."""
        self.kill()
        self.state = _copy(backup)
        self.state.life = self.life

    # its lives

    async def _live(self) -> None:
        self.lives += 1
        self.life, self._scope = self._new_life(), anyio.CancelScope()
        self._trace.note(f"control begins life {self.lives}")
        try:
            with self._scope:
                self.desk, _, sessions = backstage(self._parts())
                self._begun.set()
                await self._serve(self.desk, sessions)
        except* Killed:
            self._trace.note("control was killed")
        except* Exception as group:  # noqa: BLE001  what a process would die of
            if not self.life.injected:
                self.reports.append(f"control ended by itself: {group!r}")
            self._trace.note("control crashed")
        self.desk = None
        self.life.over = True
        self._trace.note("control ends")

    async def _serve(self, desk: Desk, sessions: Sessions) -> None:
        network = self._network(desk.fleet.admit)
        async with (
            network.listen(DOORS.session_url, sessions.serve),
            anyio.create_task_group() as group,
        ):
            group.start_soon(desk.neighbours.run)
            group.start_soon(desk.publisher.census.run, desk.bell)
            group.start_soon(desk.rollouts.run, self._rhythm.beat_s)

    def _network(self, admit: Callable[[Peer], str]) -> Network:
        ground = Ground(
            carrier=CloudCarrier(self._wan, self.life),
            clock=self.clock,
            chance=self._chance,
            entropy=self._entropy,
            failpoints=self.life,
            admit=admit,
        )
        return self._wire.link(ground)

    def _parts(self) -> ControlParts:
        return ControlParts(
            state=self.state,
            ledger=self.ledger,
            blobs=MemoryBlobs(),
            obtainer=MemoryObtainer(),
            registry=PlayedDriver(self._chance),
            network=self._network(lambda _peer: "it is not served here"),
            doors=DOORS,
            clock=self.clock,
            entropy=self._entropy,
            failpoints=self.life,
            events=Events(self.inbox),
            inbox=self.inbox,
            chunks=MemoryChunks(),
            report=self._report,
            catalogue={},
            master_key=MASTER_KEY,
            pack=self._wire.pack,
            build="0",
            look_s=self._rhythm.beat_s,
            silence_s=self._rhythm.lost_s,
            workers=Inline(self._chance, self.life),
        )

    def _report(self, what: str, error: BaseException) -> None:
        if not self.life.injected and not self.life.over:
            self.reports.append(f"{what}: {error!r}")
        self._trace.note(f"control reports {what}: {type(error).__name__}")


def _copy(state: SyncedState) -> SyncedState:
    """A copy that shares nothing but the life."""
    return copy.deepcopy(state, {id(state.life): state.life})
