"""A node comes to another version of Littoral step by step, and leaves one that does not prove."""

from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from littoral.domain.errors import Damaged, InvalidInput, StorageFull, UpstreamFailed
from littoral.domain.ids import NodeId
from littoral.domain.release import Order, Release, UpdateOrder, UpdateReport, Versions, WheelFile
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do
from littoral.node.board import Board
from littoral.node.update import KEPT, UpdateParts, Updates
from littoral.testing.disk import MemoryDisk
from littoral.testing.installer import MemoryInstaller
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.sink import ListSink
from littoral.trust import signature
from littoral.trust.release import sign

SEED = bytes(range(32))
PUBLIC = signature.public_of(SEED)
NODE = NodeId("nd1")
WHEEL = WheelFile(name="littoral-0.2.0-py3-none-any.whl", digest="sha256:" + "a" * 64, size=1000)


class Machine:
    """A node's surroundings, which outlive its processes; ``updates`` is of the last one."""

    updates: Updates

    def __init__(self) -> None:
        self.installer = MemoryInstaller("0.1.0")
        self.disk = MemoryDisk()
        self.sink = ListSink()
        self.reports: list[UpdateReport] = []
        self.connected = True
        self.why = ""
        self.serving = True
        self.left = 0
        self.failing: list[Exception] = []
        self.fetched: list[str] = []

    def process(self) -> Updates:
        """A new process of the version that runs now."""
        self.updates = Updates(
            UpdateParts(
                node=NODE,
                versions=Versions(installer=self.installer, leave=self._leave),
                disk=self.disk,
                clock=LoopClock(),
                board=Board(clock=LoopClock(), sink=self.sink, report=lambda _pids: None),
                keys=lambda: {signature.key_id(PUBLIC): PUBLIC},
                locate=self._locate,
                serving=lambda: self.serving,
            )
        )
        return self.updates

    def _leave(self) -> None:
        self.left += 1

    async def _locate(self, digest: str, _tell: Callable[[str], None]) -> str:
        if self.failing:
            raise self.failing.pop()
        self.fetched.append(digest)
        return f"/blobs/{digest}"

    async def send(self, frame: UpdateReport) -> bool:
        if self.connected:
            self.reports.append(frame)
        return self.connected

    def standing(self) -> tuple[bool, str]:
        return self.connected, self.why

    @property
    def phases(self) -> list[str]:
        return [each.phase for each in self.reports]

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.sink.events]

    def live(self, seconds: float, *tokens: bytes) -> None:
        """Run one process for so long; it takes these orders first."""

        async def main() -> None:
            updates = self.process()
            for token in tokens:
                assert updates.take(UpdateOrder(token=token))
            async with anyio.create_task_group() as group:
                group.start_soon(updates.run, self.send, self.standing)
                await anyio.sleep(seconds)
                group.cancel_scope.cancel()

        run: Callable[[Callable[[], Awaitable[None]]], object] = simulate
        run(main)


def order(number: int = 1, version: str = "0.2.0", *, requires: str = "0", wheels=(WHEEL,)):
    release = Release(version=version, requires=requires, wheels=wheels)
    made = Order(node=NODE, number=number, release=release, within_s=Seconds(100.0))
    return sign(made, seed=SEED)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_release_is_fetched_installed_checked_and_switched_to(machine):
    machine.live(3, order())
    assert machine.fetched == [WHEEL.digest]
    assert machine.installer.versions["0.2.0"] == {WHEEL.name: f"/blobs/{WHEEL.digest}"}
    assert machine.left == 1
    assert machine.phases[-1] == "switching"


def test_a_version_that_serves_and_is_connected_has_proved_itself(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.live(3)
    assert machine.installer.trial() is None
    assert machine.phases[-1] == "healthy"
    assert "update_healthy" in machine.codes


def test_a_new_order_waits_until_this_version_has_proved_itself(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.serving = False
    machine.live(5, order())
    assert machine.phases[-1] == "trial"
    assert machine.installer.trial() is not None


def test_without_control_a_version_that_serves_is_healthy_after_a_while(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.connected, machine.why = False, "nobody listens"
    machine.live(30)
    assert machine.installer.trial() is not None
    machine.live(45)
    assert machine.installer.trial() is None


def test_a_version_that_control_turns_away_is_not_healthy(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.connected, machine.why = False, "control said goodbye: protocol"
    machine.live(90)
    assert machine.installer.trial() is not None


def test_a_version_that_was_left_is_reported_with_the_reason_and_not_tried_again(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.installer.fail("it was started 3 times and ended")
    machine.live(3, order())
    assert machine.reports[-1] == UpdateReport(
        number=1, version="0.2.0", phase="rolled_back", why="it was started 3 times and ended"
    )
    assert "update_rolled_back" in machine.codes
    assert not machine.installer.has("0.2.0")
    assert machine.left == 1
    machine.live(3, order(2))
    assert machine.left == 2


def test_an_order_to_go_back_needs_no_wheels(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.live(3)
    machine.live(3, order(2, "0.1.0", wheels=()))
    assert (machine.left, machine.fetched) == (2, [WHEEL.digest])


def test_a_node_that_runs_a_version_already_says_so(machine):
    machine.live(2, order(version="0.1.0"))
    assert machine.phases == ["healthy"]
    assert machine.left == 0


def test_a_release_that_one_could_not_go_back_from_is_refused(machine):
    machine.live(2, order(requires="0.1.5"))
    assert machine.phases == ["refused"]
    assert "0.1.5" in machine.reports[-1].why


def test_a_version_that_fails_its_check_is_refused(machine):
    machine.installer.broken["0.2.0"] = Damaged("it cannot read the snapshot")
    machine.live(3, order())
    assert machine.phases[-1] == "refused"
    assert not machine.installer.has("0.2.0")
    assert machine.left == 0
    machine.live(3, order())
    assert machine.codes.count("update_refused") == 1


def test_a_version_that_is_here_and_fails_its_check_is_made_anew_and_stays_until_then(machine):
    machine.installer.versions["0.2.0"] = {"old": "build"}
    machine.installer.broken["0.2.0"] = Damaged("it did not answer in time")
    machine.failing = [UpstreamFailed("control has gone")]
    machine.live(3, order())
    assert machine.installer.versions["0.2.0"] == {"old": "build"}
    assert machine.phases == ["fetching"]
    del machine.installer.broken["0.2.0"]
    machine.live(3, order())
    assert (machine.left, machine.installer.versions["0.2.0"]) == (1, {"old": "build"})


def test_a_switch_that_failed_when_it_was_done_already_is_told_by_the_new_version(machine):
    switch = machine.installer.switch

    def fails(version: str, *, within_s: float) -> None:
        switch(version, within_s=within_s)
        raise Damaged("it was hit behind the switch")

    machine.installer.switch = fails  # type: ignore[method-assign]
    machine.live(3, order())
    assert (machine.phases[-1], machine.left) == ("refused", 0)
    assert machine.installer.has("0.2.0")
    machine.installer.start()
    machine.live(3)
    assert machine.phases[-1] == "healthy"


def test_what_cannot_be_fetched_now_is_tried_again(machine):
    machine.failing = [UpstreamFailed("control has gone"), StorageFull("no room")]
    machine.live(20, order())
    assert (machine.phases, machine.left) == (["fetching"], 0)
    machine.failing.append(UpstreamFailed("control has gone"))
    machine.live(70, order())
    assert machine.left == 1


def test_a_release_without_a_wheel_for_this_machine_is_refused(machine):
    odd = WheelFile(name="littoral-0.2.0-cp38-cp38-win_amd64.whl", digest=WHEEL.digest, size=1)
    machine.live(3, order(wheels=(odd,)))
    assert machine.phases[-1] == "refused"


def test_forged_and_replayed_orders_are_not_obeyed(machine):
    machine.live(3, order(5, "0.1.0"))
    release = Release(version="0.2.0", wheels=(WHEEL,))
    forged = sign(Order(node=NODE, number=9, release=release), seed=bytes(32))
    machine.live(3, forged, order(4))
    assert machine.left == 0
    assert machine.codes.count("update_refused") == 2


def test_a_report_that_control_may_have_lost_is_sent_again(machine):
    machine.live(2, order(version="0.1.0"))
    machine.live(2, order(version="0.1.0"))
    assert machine.phases == ["healthy", "healthy"]


def test_reports_wait_for_control(machine):
    machine.connected = False
    machine.live(3, order(version="0.1.0"))
    assert machine.phases == []
    machine.connected = True
    machine.live(3)
    assert machine.phases == ["healthy"]


def test_a_switch_that_did_not_happen_is_told(machine):
    machine.live(3, order())
    machine.live(3)
    assert (machine.phases[-1], machine.reports[-1].why) == ("refused", "it was not switched to")


def test_a_trial_that_ended_before_it_was_noted_is_healthy(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.installer.confirm()
    machine.live(3)
    assert machine.phases[-1] == "healthy"


def test_old_versions_are_removed_once_the_new_one_is_healthy(machine):
    machine.installer.versions["0.0.9"] = {}
    machine.live(3, order())
    machine.installer.start()
    machine.live(3)
    assert machine.installer.pruned == ["0.0.9"]
    assert "version_removed" in machine.codes


def test_other_frames_and_damaged_notes_are_left_alone(machine):
    machine.disk.write(KEPT, b"{")
    assert not machine.process().take(Do(number=1, verb="drain"))
    assert machine.updates.wheels == frozenset()


def test_a_full_disk_keeps_no_note_and_stops_nothing(machine):
    class Full(MemoryDisk):
        def write(self, path: str, _data: bytes, **_how: bool) -> None:
            raise StorageFull(path)

    machine.disk = Full()
    machine.live(3, order())
    assert machine.left == 1
    assert machine.updates.wheels == {WHEEL.digest}


def test_an_installation_that_cannot_be_made_is_refused(machine):
    class NoPip(MemoryInstaller):
        async def install(self, version: str, wheels: Mapping[str, str]) -> None:
            raise InvalidInput(f"{version}: no pip for {len(wheels)}")

    machine.installer = NoPip("0.1.0")
    machine.live(3, order())
    assert machine.phases[-1] == "refused"


def test_an_order_that_comes_while_another_is_followed_is_obeyed_next(machine):
    install = machine.installer.install

    async def slow(version: str, wheels: object) -> None:
        assert machine.updates.take(UpdateOrder(token=order(2, "0.1.0", wheels=())))
        await install(version, wheels)

    machine.installer.install = slow  # type: ignore[method-assign]
    machine.live(3, order())
    assert machine.left == 0  # the first order is not switched to any more
    assert machine.reports[-1].number == 2
    assert machine.phases[-1] == "healthy"


def test_an_order_that_comes_while_another_is_refused_is_obeyed_next(machine):
    async def fails(version: str, _wheels: object) -> None:
        assert machine.updates.take(UpdateOrder(token=order(2, "0.1.0", wheels=())))
        raise InvalidInput(f"{version}: no pip")

    machine.installer.install = fails  # type: ignore[method-assign]
    machine.live(3, order())
    assert (machine.reports[-1].number, machine.phases[-1]) == (2, "healthy")
