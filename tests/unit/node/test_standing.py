"""What a node says of control's absence, of its keys' life, and of its clock."""

from dataclasses import replace

import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.floor import BOOT_US
from littoral.domain.ids import NodeId
from littoral.domain.life import USUAL_US
from littoral.domain.session import PartsWanted, Reach
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.board import Board
from littoral.node.clock import PATH, FloorClock
from littoral.node.dating import Dating
from littoral.node.slot import Slots
from littoral.node.snapshot import HeldSnapshot, SnapshotParts
from littoral.node.standing import Standing
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.sink import ListSink
from littoral.testing.snapshot import Issuer

START = Micros(1_800_000_000_000_000)
SNAPSHOT = Snapshot(
    epoch=1,
    version=1,
    issued_us=START,
    node=NodeId("nd_me"),
    pepper=b"",
    keys=(),
    assignments=(),
    not_after_us=Micros(START + USUAL_US),
)


class Box:
    """A node's clock, disk and snapshot, over starts."""

    def __init__(self) -> None:
        self.system = SettableClock(wall=START)
        self.disk = MemoryDisk()
        self.issuer = Issuer(pack)
        self.sink = ListSink()
        self.machine = "first"
        self.start()

    def start(self, *, joined: bool = True) -> None:
        self.clock = FloorClock(self.system, self.disk)
        self.board = Board(clock=self.clock, sink=self.sink, report=lambda _: None)
        self.held = HeldSnapshot(
            SnapshotParts(
                node=NodeId("nd_me"),
                anchors=self.issuer.anchors,
                slots=Slots(self.disk),
                unpack=unpack,
                failpoints=ArmedFailpoints(),
                clock=self.clock,
                swapped=lambda _: None,
            )
        )
        self.held.load()
        self.dating = Dating(self.clock, self.disk, self.machine)
        self.standing = Standing(
            self.clock, self.held, self.board, dating=self.dating, joined=joined
        )
        self.standing.look()

    def give(self, snapshot: Snapshot) -> None:
        answer = self.held.offer(self.issuer.issue(snapshot).token)
        if isinstance(answer, PartsWanted):
            for piece in self.issuer.pieces(answer):
                self.held.piece(piece)
        assert self.held.number == (snapshot.epoch, snapshot.version)

    @property
    def reach(self) -> Reach:
        return next(frame for frame in self.board.frames() if isinstance(frame, Reach))


@pytest.fixture
def box() -> Box:
    return Box()


def test_a_joined_node_is_offline_until_it_met_control_and_after_it_lost_it(box) -> None:
    assert box.reach.offline
    box.standing.met(START)
    assert not box.reach.offline
    box.standing.lost()
    assert box.reach.offline


def test_the_node_beside_control_is_never_offline_and_goes_by_its_own_clock(box) -> None:
    box.start(joined=False)
    assert not box.reach.offline
    box.standing.met(Micros(START + 3_600_000_000))
    assert box.clock.wall() == START


def test_the_end_of_a_life_comes_with_two_warnings_and_an_extension_undoes_it(box) -> None:
    box.give(SNAPSHOT)
    for part in (0.4, 0.1, 0.3, 0.1, 0.2):
        box.system.advance(part * USUAL_US / 1e6)
        box.standing.look()
    codes = [code for code in box.sink.codes() if code != "clock_suspect"]
    assert codes == ["snapshot_ageing", "snapshot_ageing", "policy_expired"]
    assert box.reach.ended
    now = box.clock.wall()
    box.give(replace(SNAPSHOT, version=2, issued_us=now, not_after_us=Micros(now + USUAL_US)))
    box.standing.look()
    assert not box.reach.ended
    assert box.sink.codes()[-1] == "snapshot_extended"


def test_a_clock_set_ahead_ends_nothing_for_ten_minutes(box) -> None:
    box.give(SNAPSHOT)
    box.standing.look()
    box.system.set_wall(Micros(START + 2 * USUAL_US))
    box.standing.look()
    assert not box.reach.ended
    assert box.sink.codes() == ["clock_suspect"]
    box.system.advance(600.0)
    box.standing.look()
    assert box.reach.ended


def test_pulling_the_plug_with_a_dead_clock_does_not_stop_time(box) -> None:
    box.give(SNAPSHOT)
    box.standing.look()
    box.clock.keep()
    for boot in range(1, USUAL_US // BOOT_US + 1):
        box.system.set_wall(Micros(0))
        box.start()
        box.clock.keep()
        assert box.clock.wall() == START + boot * BOOT_US
    assert box.reach.ended
    box.standing.met(Micros(START + 1))
    assert not box.reach.ended


def test_gateways_are_told_what_to_add_to_the_systems_clock(box) -> None:
    box.system.set_wall(Micros(START + 7_000_000))
    box.standing.met(START)
    assert box.reach.skew_us == -7_000_000
    box.system.set_wall(START)
    box.standing.look()
    assert box.reach.skew_us == 0
    assert box.sink.codes() == ["clock_suspect", "clock_corrected", "clock_good"]


@pytest.mark.parametrize("kept", [b"", b"nonsense", b"-5", b"9" * 40])
def test_a_floor_that_cannot_be_read_is_none(box, kept) -> None:
    box.disk.files[PATH] = kept
    box.start()
    assert box.clock.wall() == START


def test_a_full_disk_stops_no_clock(box) -> None:
    box.disk.full = True
    box.standing.met(START)
    assert not box.reach.offline
