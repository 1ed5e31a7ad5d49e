"""The node's session: snapshots down, records up exactly once, and nothing depends on it."""

from dataclasses import replace

import anyio
import pytest

from littoral.app.codec import unpack
from littoral.domain.flight import SETTLED, SLOT_BYTES, identity, read, write
from littoral.domain.ids import NodeId
from littoral.domain.outbox import Mark
from littoral.domain.ports import Channel
from littoral.domain.session import (
    Applied,
    Frame,
    Goodbye,
    Hello,
    PartsWanted,
    Records,
    Stored,
)
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord
from littoral.node.backoff import Patience
from littoral.node.clock import FloorClock
from littoral.node.dating import Dating
from littoral.node.relay import Relay
from littoral.node.session import SessionParts, Uplink
from littoral.node.slot import Slots
from littoral.node.snapshot import HeldSnapshot, SnapshotParts
from littoral.node.standing import Standing
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import Crash
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.network import MemoryNetwork
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.usage import usage_waiting
from uplinks import Control

SNAPSHOT = Snapshot(
    epoch=1,
    version=1,
    issued_us=Micros(1),
    node=NodeId("nd_me"),
    pepper=b"",
    keys=(),
    assignments=(),
)


def record(number: int) -> UsageRecord:
    memory = bytearray(SLOT_BYTES)
    names = identity((f"r{number}", "p", "k", "m", "d", "chat@1"))
    header = (0, 0, 0, 7, 0, 5, 1_000, 10, 20, 30, 40, 1.0, 2.0)
    write(memory, 0, state=SETTLED, header=header, names=names)
    return read(memory, 0).record


class Node:
    """A node's uplink with its surroundings."""

    def __init__(self, around) -> None:
        self.around = around
        self.control = Control()
        self.told: list[tuple[str, bool]] = []
        self.network = MemoryNetwork()
        self.outbox = MemoryOutbox()
        self.served: list[Snapshot] = []
        self.held = HeldSnapshot(
            SnapshotParts(
                node=NodeId("nd_me"),
                anchors=self.control.issuer.anchors,
                slots=Slots(MemoryDisk()),
                unpack=unpack,
                failpoints=around.failpoints,
                clock=SettableClock(),
                swapped=self.served.append,
            )
        )
        clock = self.clock = FloorClock(around.clock, MemoryDisk())
        dating = Dating(clock, MemoryDisk(), "m")
        self.standing = Standing(clock, self.held, around.board, dating=dating, joined=True)
        names = {"name": "me", "boot": "b", "build": "0", "outbox": "?"}
        hello = Hello(protocol=1, node=NodeId("nd_me"), snapshot=(0, 0), **names)
        self.uplink = Uplink(
            SessionParts(
                network=self.network,
                address="control",
                hello=hello,
                held=self.held,
                standing=self.standing,
                outbox=self.outbox,
                board=around.board,
                clock=around.clock,
                chance=around.chance,
                failpoints=around.failpoints,
                patience=Patience(),
                relay=Relay(NodeId("nd")),
                sharing=around.sharing(clock),
                hear=lambda _frame: False,
                lost=lambda *told: self.told.append(told),
                told=lambda remotes: around.board.put_remotes(remotes.endpoints),
            )
        )

    def hold(self, snapshot: Snapshot) -> None:
        wanted = self.held.offer(self.control.issuer.issue(snapshot).token)
        assert isinstance(wanted, PartsWanted)
        for piece in self.control.issuer.pieces(wanted):
            self.held.piece(piece)

    async def append(self, *numbers: int) -> None:
        await self.outbox.append([record(number) for number in numbers])
        self.uplink.flush.appended()

    def during(self, script, *, listening: bool = True) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                if listening:
                    group.start_soon(self.listen)
                group.start_soon(self.uplink.run)
                await anyio.sleep(0.1)
                await script()
                group.cancel_scope.cancel()

        simulate(main)

    async def listen(self) -> None:
        async with self.network.listen("control", self.control.serve):
            await anyio.sleep_forever()


@pytest.fixture
def node(around) -> Node:
    return Node(around)


def test_hello_names_the_outbox_and_the_snapshot_that_is_held(node) -> None:
    node.hold(replace(SNAPSHOT, version=9))

    async def script() -> None:
        await anyio.sleep(5)
        (hello,) = node.control.hellos
        assert (hello.outbox, hello.snapshot) == (node.outbox.name, (1, 9))
        assert node.uplink.connected

    node.during(script)


def test_an_offered_snapshot_is_served_and_answered(node) -> None:
    node.control.offers = (SNAPSHOT, replace(SNAPSHOT, node=NodeId("nd_other")))

    async def script() -> None:
        await anyio.sleep(5)
        assert node.served == [node.control.issuer.named(SNAPSHOT)]
        answers = [frame.ok for frame in node.control.frames if isinstance(frame, Applied)]
        assert answers == [False, True]  # the first waits for its parts

    node.during(script)


def test_records_go_up_once_and_in_order(node) -> None:
    async def script() -> None:
        await node.append(*range(1200))
        await anyio.sleep(5)
        assert node.control.applied == [f"r{number}" for number in range(1200)]
        assert sum(node.control.batches) == 1200
        assert all(50 <= each <= 500 for each in node.control.batches[:-1])
        assert await usage_waiting(node.outbox) == 0

    node.during(script)


def test_what_a_wrong_clock_dated_goes_up_with_what_it_was_wrong_by(around) -> None:
    around.clock = LoopClock(Micros(1_800_000_000_000_000 - 7_200_000_000))
    node = Node(around)

    async def script() -> None:
        node.standing.look()
        await node.outbox.append([replace(record(1), at_us=around.clock.wall())])
        await anyio.sleep(5)
        async with anyio.create_task_group() as group:
            group.start_soon(node.listen)
            await anyio.sleep(60)
            await node.outbox.append([replace(record(2), at_us=node.clock.wall())])
            await anyio.sleep(5)
            group.cancel_scope.cancel()
        first, second = (frame.batch for frame in node.control.frames if isinstance(frame, Records))
        (moved,) = first.redated
        assert (moved.first, moved.last) == (1, 1)
        assert 7_100 < moved.by_us / 1e6 <= 7_200
        assert second.redated == ()
        assert around.sink.codes().count("clock_corrected") == 1

    node.during(script, listening=False)


def test_a_few_records_wait_a_moment_for_company(node) -> None:
    async def script() -> None:
        await anyio.sleep(5)
        for number in range(20):
            await node.append(number)
            await anyio.sleep(0.001)
        await anyio.sleep(1)
        assert node.control.batches == [20]

    node.during(script)


def test_records_applied_but_not_confirmed_are_not_applied_again(node) -> None:
    node.control.dies_after = 1

    async def script() -> None:
        await node.append(*range(100))
        await anyio.sleep(30)
        assert len(node.control.hellos) == 2
        assert node.control.applied == [f"r{number}" for number in range(100)]
        assert await usage_waiting(node.outbox) == 0

    node.during(script)


def test_records_nobody_answers_are_sent_again(node) -> None:
    node.control.ignores = 3

    async def script() -> None:
        await node.append(1, 2, 3)
        await anyio.sleep(25)
        assert node.control.applied == []
        await anyio.sleep(35)
        assert node.control.applied == ["r1", "r2", "r3"]

    node.during(script)


def test_dying_after_sending_loses_nothing(node, around) -> None:
    around.failpoints.arm("records.sent")

    async def script() -> None:
        await node.append(1)
        await anyio.sleep(5)

    with pytest.raises(BaseExceptionGroup) as caught:
        node.during(script)
    assert caught.group_contains(Crash, depth=None)
    node.during(lambda: anyio.sleep(10))
    assert node.control.applied == ["r1"]


def test_a_control_that_knows_more_than_this_disk_gets_a_new_outbox(node) -> None:
    before = node.outbox.name
    node.control.marks[before] = Mark(seq=7)

    async def script() -> None:
        await anyio.sleep(20)
        names = [hello.outbox for hello in node.control.hellos]
        assert names[0] == before
        assert names[1] == node.outbox.name != before

    node.during(script)


def test_beats_come_on_time_and_carry_the_status_only_when_it_changed(node, around) -> None:
    async def script() -> None:
        await anyio.sleep(60)
        beats = node.control.beats()
        assert 10 <= len(beats) <= 16
        assert [beat.number for beat in beats] == list(range(1, len(beats) + 1))
        before = len([beat for beat in beats if beat.status])
        assert before <= 3
        around.board.machine = replace(around.machine, cores=64)
        around.board.changed.notify()
        await anyio.sleep(1)
        assert node.control.status().machine.cores == 64

    node.during(script)


def test_a_full_outbox_is_seen_in_the_status_until_it_is_empty(node) -> None:
    node.control.ignores = 1

    async def script() -> None:
        await anyio.sleep(10)
        await node.append(*range(10))
        await anyio.sleep(1)
        assert node.control.status().outbox_depth == 10
        await anyio.sleep(15)
        assert node.control.status().outbox_depth == 0

    node.during(script)


def test_without_control_nothing_stops_and_dialling_goes_on_gently(node) -> None:
    async def script() -> None:
        await node.append(1)
        await anyio.sleep(24 * 3600)
        assert not node.uplink.connected
        assert await usage_waiting(node.outbox) == 1

    node.during(script, listening=False)
    node.during(lambda: anyio.sleep(30))
    assert node.control.applied == ["r1"]


def test_that_control_does_not_answer_is_told_once_and_not_while_it_may_be_starting(node) -> None:
    def codes() -> list[str]:
        return [event.code for event in node.around.sink.events]

    async def script() -> None:
        await anyio.sleep(4.0)
        assert codes() == []
        assert node.uplink.standing() != (True, "")
        await anyio.sleep(600.0)
        assert codes() == ["session_failed"]

    node.during(script, listening=False)


def rude(node, *answers: Frame) -> None:
    """Answer the first sessions with these, each with one, and then as usual."""
    left, welcome = list(answers), node.control.serve

    async def serve(channel: Channel) -> None:
        if not left:
            return await welcome(channel)
        await channel.receive()
        return await channel.send(left.pop())

    node.control.serve = serve


def test_goodbye_and_nonsense_end_a_session_and_the_next_one_works(node) -> None:
    stored = Stored(outbox="x", lane="ledger", mark=Mark(seq=1))
    rude(node, Goodbye(code="superseded"), stored)

    async def script() -> None:
        await node.append(1)
        await anyio.sleep(60)
        assert node.control.applied == ["r1"]

    node.during(script)


def test_a_node_that_is_told_to_hurry_waits_no_longer_to_dial(node) -> None:
    async def script() -> None:
        await anyio.sleep(1000)
        async with node.network.listen("control", node.control.serve):
            node.uplink.hurry()
            await anyio.sleep(0.1)
            assert node.uplink.connected

    node.during(script, listening=False)


def test_what_ends_a_session_is_told_with_whether_control_had_opened_it(node) -> None:
    node.control.goodbye = Goodbye(code="revoked")
    rude(node, Goodbye(code="revoked"))
    node.during(lambda: anyio.sleep(60))
    assert [welcomed for code, welcomed in node.told if code == "revoked"][:2] == [False, True]


def test_flush_waits_until_control_has_everything(node) -> None:
    node.control.ignores = 1

    async def script() -> None:
        await anyio.sleep(5)
        await node.append(1, 2)
        await node.uplink.flush.drained()
        assert node.control.applied == ["r1", "r2"]

    node.during(script)
