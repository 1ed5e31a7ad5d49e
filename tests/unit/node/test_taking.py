"""What a node answers to what it is offered, when parts come late or not at all."""

import anyio
import pytest

from littoral.app.codec import unpack
from littoral.domain.ids import NodeId
from littoral.domain.session import PartsWanted, SnapshotOffer
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.slot import Slots
from littoral.node.snapshot import STALLED, HeldSnapshot, SnapshotParts
from littoral.node.taking import PARTS_WITHIN, SERVED_WITHIN, Taking
from littoral.testing.channel import channel_pair
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import simulate
from uplinks import Control

SNAPSHOT = Snapshot(
    epoch=1,
    version=7,
    issued_us=Micros(1),
    node=NodeId("nd_me"),
    pepper=b"",
    keys=(),
    assignments=(),
)


class Desk:
    """A node's end of a session, and what control heard of it."""

    def __init__(self, around) -> None:
        self.control = Control()
        held = HeldSnapshot(
            SnapshotParts(
                node=NodeId("nd_me"),
                anchors=self.control.issuer.anchors,
                slots=Slots(MemoryDisk()),
                unpack=unpack,
                failpoints=ArmedFailpoints(),
                clock=SettableClock(),
                swapped=lambda _snapshot: None,
            )
        )
        self.taking = Taking(held, around.board)
        self.heard = []

    def during(self, script) -> None:
        async def main() -> None:
            near, far = channel_pair()
            async with anyio.create_task_group() as group:
                group.start_soon(self.taking.run, near)
                group.start_soon(self._hear, far)
                await script()
                group.cancel_scope.cancel()
            await near.close()
            await far.close()

        simulate(main)

    async def _hear(self, far) -> None:
        while True:
            self.heard.append(await far.receive())


@pytest.fixture
def desk(around) -> Desk:
    return Desk(around)


def test_parts_that_do_not_come_are_told_and_count_when_they_do(desk) -> None:
    async def script() -> None:
        desk.taking.take(SnapshotOffer(manifest=desk.control.issuer.issue(SNAPSHOT).token))
        await anyio.sleep(PARTS_WITHIN - 1.0)
        (wanted,) = desk.heard
        assert isinstance(wanted, PartsWanted)
        await anyio.sleep(2.0)
        told = desk.heard[-1]
        assert (told.ok, told.version, told.reason) == (False, 7, STALLED)
        for piece in desk.control.issuer.pieces(wanted):
            desk.taking.take(piece)
        await anyio.sleep(SERVED_WITHIN + 1.0)
        assert [each.ok for each in desk.heard[1:]] == [False, True]

    desk.during(script)


def test_nothing_is_said_where_nothing_is_missing(desk) -> None:
    async def script() -> None:
        await anyio.sleep(3 * PARTS_WITHIN)
        assert desk.heard == []

    desk.during(script)
