"""The node's slices: on disk before they count, and what is said of them when."""

import anyio
import pytest

from littoral.domain.ids import NodeId
from littoral.domain.limits import Budget, Limits
from littoral.domain.quota import DENIED, OPEN, WANT, QuotaTable, names
from littoral.domain.session import Beat, Pulse
from littoral.domain.share import NOTHING, WHOLE, Draw, Drawn, Shares, Slice, whole
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.node.board import Board
from littoral.node.limits import QUIET, LimitRows
from littoral.node.sharing import FILE, LOOK, TELL, Sharing
from littoral.testing.channel import channel_pair
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.quota import quota_table
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

ME, OTHER = NodeId("me"), NodeId("other")
LIMITS = Limits(requests_per_minute=60, concurrent=4, budget=Budget(amount=1e-6, period="total"))
NAME = "project:p|total"
HALF = Slice(amount=500, standing=500, rate=WHOLE // 2, open=2)


class HostClock(LoopClock):
    """The loop's time, and its beginning where none runs yet."""

    def __init__(self) -> None:
        self.began = Micros(1_800_000_000_000_000)
        super().__init__(self.began)

    def now(self) -> Seconds:
        try:
            return super().now()
        except RuntimeError:
            return Seconds(0.0)

    def wall(self) -> Micros:
        try:
            return super().wall()
        except RuntimeError:
            return self.began


class Host:
    """A node's sharing, and the end of the session where control would be."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.sink = ListSink()
        self.board = Board(clock=HostClock(), sink=self.sink, report=lambda _: None)
        self.table = quota_table(mine=0)
        self.rows = LimitRows(self.table, HostClock())
        self.failpoints = ArmedFailpoints()
        self.sharing = Sharing(
            ME, self.rows, disk=self.disk, board=self.board, failpoints=self.failpoints
        )
        self.sharing.load()

    @property
    def gateway(self) -> QuotaTable:
        return QuotaTable(self.table.words, columns=2, mine=1, rows=self.table.rows)

    def serve(self, *nodes: NodeId, limits=LIMITS) -> int:
        snapshot = Snapshot(
            epoch=1,
            version=1,
            issued_us=Micros(1),
            node=ME,
            pepper=b"",
            keys=(),
            assignments=(),
            limits={"project:p": limits},
            neighbours=dict.fromkeys((ME, *nodes)),
        )
        self.sharing.swapped(snapshot)
        return self.sharing.allot(snapshot)["project:p"]

    async def drawn(self) -> Drawn:
        with anyio.fail_after(1000):
            frame = await self.far.receive()
        assert isinstance(frame, Drawn)
        return frame

    async def halved(self) -> None:
        """Begin a session, and be given half."""
        await self.drawn()
        self.give(1, HALF)
        await self.drawn()

    def give(self, number: int, given: Slice) -> None:
        assert self.sharing.take(Shares(number=number, slices={NAME: given}))


def talk(host: Host, work) -> None:
    async def main() -> None:
        host.near, host.far = channel_pair()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(host.sharing.run, host.near)
                await work()
                group.cancel_scope.cancel()
        finally:
            await host.near.close()
            await host.far.close()

    simulate(main)


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_node_that_has_no_neighbour_has_its_limits_to_itself(host):
    row = host.serve()
    assert host.table.cap(row, 0) == 1000

    async def work():
        first = await host.drawn()
        assert (first.begins, first.complete, first.number) == (True, True, 0)
        assert first.draws[NAME].held == whole(LIMITS)

    talk(host, work)


def test_among_others_a_node_waits_until_it_is_told_what_it_may_use(host):
    row = host.serve(OTHER)
    assert host.table.cap(row, 0) == 0

    async def work():
        assert (await host.drawn()).draws == {NAME: Draw(held=NOTHING)}
        host.give(1, HALF)
        answer = await host.drawn()
        assert (answer.number, answer.draws[NAME].held) == (1, HALF)
        assert host.table.cap(row, 0) == 500

    talk(host, work)


def test_a_slice_outlives_a_restart_and_is_there_before_any_gateway(host):
    host.serve(OTHER)

    async def work():
        await host.halved()

    talk(host, work)
    again = Host(host.disk)
    assert again.table.cap(again.serve(OTHER), 0) == 500


def test_a_file_that_cannot_be_read_holds_no_slice_and_is_told(host):
    host.disk.write(FILE, b"\xc1")
    again = Host(host.disk)
    assert again.table.cap(again.serve(OTHER), 0) == 0
    assert again.sink.events[0].code == "shares_damaged"


def test_what_was_used_already_is_kept_and_told(host):
    row = host.serve(OTHER)

    async def work():
        await host.halved()
        for _ in range(2):
            host.gateway.reserve(row, 0, 200)
        host.give(2, Slice(amount=100, standing=100, rate=1, open=0))
        held = (await host.drawn()).draws[NAME].held
        assert (held.amount, held.standing, held.open) == (400, 100, 2)
        assert host.table.cap(row, 0) == 400
        assert host.table.words[host.table.at(row) + OPEN] == 2

    talk(host, work)
    again = Host(host.disk)
    assert again.sharing.slice_of(NAME, LIMITS).amount == 400


def test_an_answer_waits_until_every_gateway_has_met_the_fence(host):
    host.serve(OTHER)
    host.board.fences.met("gateway", 0)

    async def work():
        await host.drawn()
        host.give(1, HALF)
        with anyio.move_on_after(1.0) as scope:
            await host.far.receive()
        assert scope.cancelled_caught
        fence = host.board.frames()[-1]
        host.board.fences.met("gateway", fence.number)
        assert (await host.drawn()).number == 1

    talk(host, work)


def test_a_gateway_that_is_gone_is_not_waited_for(host):
    host.serve(OTHER)
    host.board.fences.met("gateway", 0)

    async def work():
        await host.drawn()
        host.give(1, HALF)
        await anyio.sleep(1.0)
        host.board.put_pid("gateway", None)
        assert (await host.drawn()).number == 1

    talk(host, work)


def test_a_slice_that_cannot_be_written_is_neither_held_nor_answered(host):
    row = host.serve(OTHER)

    async def work():
        await host.drawn()
        host.disk.full = True
        host.give(1, HALF)
        with anyio.move_on_after(1.0) as scope:
            await host.far.receive()
        assert scope.cancelled_caught
        assert host.table.cap(row, 0) == 0

    talk(host, work)
    assert host.sink.events[0].code == "storage_full"


def test_who_is_refused_says_so_soon_and_how_much_it_wanted(host):
    row = host.serve(OTHER)

    async def work():
        await host.drawn()
        began = HostClock().now()
        host.gateway.deny(row, 70)
        host.gateway.deny(row, 90)
        draw = (await host.drawn()).draws[NAME]
        assert HostClock().now() - began <= LOOK + 0.1
        assert (draw.tight, draw.want, draw.demand) == (True, 90, 2.0)
        assert host.table.words[host.table.at(row) + DENIED] == 2
        assert host.table.words[host.table.at(row) + WANT] == 90

    talk(host, work)


def test_three_quarters_of_a_share_are_told_once_and_soon(host):
    row = host.serve(OTHER)

    async def work():
        await host.halved()
        host.gateway.reserve(row, 0, 380)
        began = HostClock().now()
        draw = (await host.drawn()).draws[NAME]
        assert (draw.tight, draw.taken) == (True, 380)
        assert HostClock().now() - began <= LOOK + 0.1
        host.gateway.reserve(row, 0, 1)
        assert (await host.drawn()).draws[NAME].taken == 381
        assert HostClock().now() - began >= TELL - LOOK

    talk(host, work)


def test_what_is_used_while_nothing_is_short_is_told_now_and_then(host):
    host.serve()

    async def work():
        await host.drawn()
        host.sharing.booked([usage_record(1, project="p")])
        began = HostClock().now()
        draw = (await host.drawn()).draws[NAME]
        assert HostClock().now() - began >= TELL - LOOK
        assert (draw.tight, draw.demand) == (False, 1.0)

    talk(host, work)


def test_a_new_limit_is_told_of_by_itself(host):
    async def work():
        assert (await host.drawn()).draws == {}
        host.serve(OTHER)
        assert (await host.drawn()).draws.keys() == {NAME}

    talk(host, work)


def test_a_slice_of_nothing_is_forgotten(host):
    host.serve(OTHER)

    async def work():
        await host.halved()
        host.give(2, NOTHING)
        assert (await host.drawn()).draws[NAME].held.empty

    talk(host, work)
    assert host.sharing.slice_of(NAME, LIMITS) == NOTHING


def test_frames_of_other_kinds_are_left_to_others(host):
    assert not host.sharing.take(Beat(number=1))


def test_a_pulse_names_no_fence_until_one_was_met():
    pulse = Pulse(number=1, connections=0, in_flight=0, lag_s=Seconds(0.0), counters={})
    assert pulse.fence == 0


def test_a_budget_without_a_row_is_known_by_what_was_spent(host):
    host.rows.restore((), ())
    hourly = "project:p|hour"
    used = host.rows.used(hourly)
    assert (used.money, used.since % HOUR_US) == (0, 0)
    assert host.rows.used("project:p|-").money == 0


def test_the_row_of_a_limit_that_is_gone_is_free_behind_a_fence(host):
    row = host.serve()
    host.board.fences.met("gateway", 0)

    async def work():
        await host.drawn()
        host.rows.allot({})
        await anyio.sleep(QUIET + 2 * LOOK)
        assert names(host.table.words) == {NAME: row}
        host.board.fences.met("gateway", host.board.fences.frame.number)
        await anyio.sleep(2 * LOOK)
        assert names(host.table.words) == {}

    talk(host, work)
