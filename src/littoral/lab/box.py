"""Box: an edge's disk, and what of it survives a kill, a power cut and a copy."""

from collections.abc import Sequence

import anyio

from littoral.domain.deferral import Deferral, Room
from littoral.domain.flight import SLOT_BYTES
from littoral.domain.outbox import Lane, Mark
from littoral.domain.ports import Chance, Clock
from littoral.domain.quota import QuotaTable, renew, table_bytes
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord
from littoral.lab.life import HostClock, Life
from littoral.testing.deferrals import MemoryDeferrals
from littoral.testing.disk import MemoryDisk
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.responses import MemoryResponses

SLOTS = 16
ROWS = 64
COLUMNS = 2
"""Of the quota table: the node's, and its one gateway's."""
KEPT = Seconds(600.0)
"""How long usage records stay in the outbox when control has them: a restored one asks again."""
SYNC = Seconds(0.01)
"""How long a commit of the outbox takes, at most twice."""


class SyncedDisk(MemoryDisk):
    """Files that are whole or absent, whatever ends in the middle."""

    life: Life

    def write(self, path: str, data: bytes, *, private: bool = True) -> None:
        """Replace the file; synced when it returns."""
        self.life.check()
        super().write(path, data, private=private)

    def remove(self, path: str) -> None:
        """Remove the file if it exists."""
        self.life.check()
        super().remove(path)


class SyncedOutbox(MemoryOutbox):
    """An outbox whose commits take time, and are there as a whole or not at all.

    Args:
        name: Of a new disk's outbox.
        clock: Of its host.
        chance: Draws how long a commit takes, and on which side of a death it falls.
    """

    life: Life

    def __init__(self, name: str, clock: Clock, chance: Chance) -> None:
        super().__init__(name, clock=clock, kept_s=KEPT)
        self._chance = chance

    async def append(self, records: Sequence[UsageRecord]) -> int:
        """Write records and sync."""
        self.life.check()
        self.life.hit("outbox.begin")
        early = self._chance.random() < 0.5
        last = await super().append(records) if early else 0
        await anyio.sleep(SYNC * (1.0 + self._chance.random()))
        self.life.check()
        last = last if early else await super().append(records)
        self.life.hit("outbox.committed")
        return last

    async def stored(self, lane: Lane, mark: Mark, *, safe: int = 0) -> None:
        """Drop what control holds."""
        self.life.check()
        before = await self._held()
        await super().stored(lane, mark, safe=safe)
        if await self._held() < before:
            self.life.hit("rows.deleted")

    async def _held(self) -> int:
        level = await self.level()
        return sum(lane.held for lane in level.lanes.values())


class SyncedDeferrals(MemoryDeferrals):
    """Deferred requests whose writes take time, and are there as a whole or not at all.

    Args:
        clock: Of its host.
        chance: Draws how long a write takes, and on which side of a death it falls.
    """

    life: Life

    def __init__(self, clock: Clock, chance: Chance) -> None:
        super().__init__(clock)
        self._chance = chance

    async def accept(self, deferral: Deferral, *, room: Room) -> Deferral:
        """Keep one more, synced when it returns."""
        await self._begun()
        kept = await super().accept(deferral, room=room)
        await self._synced()
        return kept

    async def begin(self, name: str) -> Deferral | None:
        """Count a run, synced when it returns."""
        await self._begun()
        found = await super().begin(name)
        await self._synced()
        return found

    async def hand_back(self, name: str, reason: str, *, counted: bool) -> bool:
        """Let one wait again, synced when it returns."""
        await self._begun()
        return await super().hand_back(name, reason, counted=counted)

    async def end(self, deferral: Deferral) -> bool:
        """Write how one ended, synced when it returns."""
        await self._begun()
        done = await super().end(deferral)
        await self._synced()
        return done

    async def booked(self, name: str) -> None:
        """Take note that its usage is in the outbox, synced when it returns."""
        await self._begun()
        await super().booked(name)

    def every(self) -> Sequence[Deferral]:
        """All that are kept, whole."""
        return list(self._kept.values())

    async def _begun(self) -> None:
        await anyio.sleep(SYNC * self._chance.random())
        self.life.check()

    async def _synced(self) -> None:
        await anyio.sleep(SYNC * self._chance.random())
        self.life.check()


class Box:
    """Everything of one edge that is not a process.

    Args:
        outbox: Name of its outbox.
        chance: Draws what a power cut leaves.

    Attributes:
        clock: Its clock, right or wrong.
        lost_power: Whether it ever did: what was not yet synced then may be lost.
    """

    def __init__(self, outbox: str, chance: Chance) -> None:
        self._chance = chance
        self.clock = HostClock()
        self.disk = SyncedDisk()
        self.outbox = SyncedOutbox(outbox, self.clock, chance)
        self.responses = MemoryResponses(self.clock)
        self.deferrals = SyncedDeferrals(self.clock, chance)
        self.flights = bytearray(SLOTS * SLOT_BYTES)
        self._quota = memoryview(bytearray(table_bytes(COLUMNS, ROWS))).cast("q")
        self._boot = 1
        self._written = bytes(self.flights)
        renew(self._quota, self._boot, ROWS)

    def copy(self, other: "Box") -> None:
        """Be a copy of another box's disk, as it is now."""
        self.disk.files = dict(other.disk.files)
        self.outbox.become(other.outbox)
        self.flights = bytearray(other.flights)
        self._written = bytes(self.flights)

    def begin(self, life: Life) -> None:
        """A process opens it all."""
        self.disk.life = self.outbox.life = self.deferrals.life = life
        self.write_back()
        renew(self._quota, self._boot, ROWS)

    def quota(self, mine: int) -> QuotaTable:
        """The quota table, as the process of one column sees it."""
        return QuotaTable(self._quota, columns=COLUMNS, mine=mine, rows=ROWS)

    def write_back(self) -> None:
        """The kernel writes the flight table to disk, as it does now and then."""
        self._written = bytes(self.flights)

    def lose_power(self) -> None:
        """Of the flight table stay the last pages that were written back, each by chance newer."""
        for slot in range(SLOTS):
            if self._chance.random() < 0.5:
                at = slice(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)
                self.flights[at] = self._written[at]
        self._boot += 1
