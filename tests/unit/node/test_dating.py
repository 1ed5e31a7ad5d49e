"""Usage that a wrong clock dated stands in the ledger with its true dates, each record once."""

import anyio
import pytest

from littoral.domain.floor import APART_US, BOOT_US, LEAST_US
from littoral.domain.ids import NodeId
from littoral.domain.outbox import Batch, dated
from littoral.domain.units import Micros
from littoral.node.clock import FloorClock
from littoral.node.dating import PATH, Dating
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.ledger import MemoryLedger
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.usage import usage_record

YEAR_US = 365 * 86_400 * 1_000_000
ME = NodeId("nd_me")


class Pair:
    """A node with a clock of its own, and control, which knows the time."""

    def __init__(self, wrong_us: int) -> None:
        self.true = SettableClock(wall=Micros(LEAST_US + YEAR_US))
        self.system = SettableClock(wall=Micros(self.true.wall() + wrong_us))
        self.disk = MemoryDisk()
        self.outbox = MemoryOutbox()
        self.ledger = MemoryLedger()
        self.began: dict[str, int] = {}
        self.start()

    def start(self, machine: str = "first") -> None:
        """A process of the node starts, in this boot of the machine."""
        self.clock = FloorClock(self.system, self.disk)
        self.dating = Dating(self.clock, self.disk, machine)
        self.dating.look()
        self.clock.keep()

    def power(self, machine: str, *, off_s: float) -> None:
        """The machine goes off and on again, its clock of wall time having stood still."""
        self.true.advance(off_s)
        self.system = SettableClock(wall=self.system.wall())
        self.start(machine)

    def passes(self, seconds: float) -> None:
        self.true.advance(seconds)
        self.system.advance(seconds)
        self.dating.look()

    async def serve(self, *numbers: int) -> None:
        """Requests begin now, and are booked."""
        records = [usage_record(each, at_us=self.clock.wall()) for each in numbers]
        self.began |= {each.request: self.true.wall() for each in records}
        await self.outbox.append(records)

    async def meet(self) -> int:
        self.dating.look()
        self.clock.meet(self.true.wall())
        return self.dating.met((await self.outbox.level()).lanes["ledger"].last)

    async def send(self) -> Batch:
        """All that is there goes to control, from the beginning."""
        batch = self.dating.redated(await self.outbox.read("ledger", 0, 500))
        arrived = dated(batch, self.true.wall())
        self.ledger.apply(ME, self.outbox.name, arrived)
        return arrived

    def off(self) -> dict[str, int]:
        """By how much each date in the ledger is wrong."""
        found = self.ledger.latest(limit=500)
        assert len({each.request for each in found}) == len(found)
        return {each.request: each.at_us - self.began[each.request] for each in found}


def run(script) -> None:
    anyio.run(script)


@pytest.mark.parametrize("wrong_us", [-YEAR_US, -2 * YEAR_US, -BOOT_US, 3_000_000, 30 * BOOT_US])
def test_what_was_served_before_control_told_the_time_has_its_true_dates(wrong_us) -> None:
    async def script() -> None:
        pair = Pair(wrong_us)
        await pair.serve(1, 2)
        pair.passes(40.0)
        await pair.serve(3)
        pair.passes(500.0)
        assert await pair.meet() != 0
        await pair.serve(4)
        await pair.send()
        await pair.send()
        off = pair.off()
        assert len(off) == 4
        assert all(abs(each) <= APART_US for each in off.values())
        assert pair.ledger.sums(by=())[0].tokens_out == 1 + 2 + 3 + 4

    run(script)


def test_a_restart_of_the_node_alone_keeps_what_is_known_of_its_dates() -> None:
    async def script() -> None:
        pair = Pair(-2 * YEAR_US)
        await pair.serve(1)
        pair.passes(30.0)
        await pair.serve(2)
        pair.true.advance(9_000.0)
        pair.system.advance(9_000.0)  # nothing runs for longer than the hour that a start adds
        pair.start()
        await pair.serve(3)
        pair.passes(30.0)
        await pair.meet()
        pair.start()  # after it: before anything was sent
        await pair.send()
        assert set(pair.off().values()) == {0}

    run(script)


def test_power_that_fails_after_the_time_was_known_loses_no_correction() -> None:
    async def script() -> None:
        pair = Pair(-2 * YEAR_US)
        await pair.serve(1)
        pair.passes(30.0)
        await pair.meet()
        pair.power("second", off_s=3_600.0)
        await pair.serve(2)
        pair.passes(5.0)
        await pair.meet()
        await pair.send()
        assert pair.off() == {"rq_1": 0, "rq_2": 0}

    run(script)


def test_what_a_boot_dated_that_never_learned_the_time_stays_and_is_marked() -> None:
    async def script() -> None:
        pair = Pair(-2 * YEAR_US)
        await pair.serve(1, 2)
        pair.power("second", off_s=3_600.0)
        await pair.serve(3)
        pair.passes(5.0)
        await pair.meet()
        arrived = await pair.send()
        assert [(each.first, each.last, each.by_us) for each in arrived.redated] == [(1, 2, None)]
        assert pair.off()["rq_3"] == 0
        assert pair.ledger.record("rq_1")[0].at_us == LEAST_US + BOOT_US

    run(script)


def test_a_clock_that_is_right_leaves_everything_as_it_is() -> None:
    async def script() -> None:
        pair = Pair(0)
        await pair.serve(1)
        pair.passes(30.0)
        assert await pair.meet() == 0
        assert await pair.meet() == 0
        assert (await pair.send()).redated == ()

    run(script)


def test_a_full_disk_delays_what_is_remembered_and_a_damaged_file_is_none() -> None:
    pair = Pair(-2 * YEAR_US)
    pair.disk.files.pop(PATH)
    pair.disk.full = True
    pair.system.set_wall(pair.true.wall())
    pair.dating.look()
    assert pair.disk.read(PATH) is None
    pair.disk.full = False
    pair.dating.look()
    assert pair.disk.read(PATH) is not None
    pair.disk.write(PATH, b"{")
    pair.start()
    assert pair.disk.read(PATH) != b"{"
