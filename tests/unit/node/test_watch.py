"""What a node says of its machine, of parts on other threads, and of how its last life ended."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.node import Event, Reading
from littoral.domain.units import Micros
from littoral.node.overheard import Overheard
from littoral.node.start import PATH, Origin, Start
from littoral.node.watch import EVERY, Watch, WatchParts
from littoral.testing.disk import MemoryDisk
from littoral.testing.loop import simulate
from littoral.testing.sink import ListSink

HERE = Origin(machine="boot-1", supervisor="boot-1:7")


def test_an_ailment_is_told_shown_as_trouble_and_over(around) -> None:
    readings = [Reading(disk_used=0.5), Reading(disk_used=0.92), Reading(disk_used=0.5)]
    overheard = Overheard()

    async def main() -> None:
        watch = Watch(
            WatchParts(
                machine=lambda: around.machine,
                sensors=lambda: readings[0] if len(readings) == 1 else readings.pop(0),
                overheard=overheard,
                board=around.board,
                clock=around.clock,
            )
        )
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            await anyio.sleep(EVERY * 1.5)
            assert ["nine tenths" in each for each in around.board.trouble] == [True]
            assert around.board.status().trouble == around.board.trouble
            overheard.emit(said("outbox.damaged"))
            await anyio.sleep(EVERY * 10)
            group.cancel_scope.cancel()

    simulate(main)
    assert around.board.trouble == ()
    codes = [event.code for event in around.board.take_events()]
    assert codes == ["disk_low", "outbox.damaged", "disk_eased"]
    assert around.sink.codes() == ["disk_low", "disk_eased"]


def said(code: str) -> Event:
    return Event(at_us=Micros(1), level="error", subject="outbox", code=code, message="m")


def test_what_is_overheard_is_in_the_log_at_once() -> None:
    sink = ListSink()
    overheard = Overheard(sink)
    overheard.emit(said("a"))
    assert sink.codes() == ["a"]
    assert [event.code for event in overheard.take()] == ["a"]
    assert overheard.take() == []


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (HERE, "node_restarted"),
        (replace(HERE, supervisor="boot-1:9"), "supervisor_restarted"),
        (Origin(machine="boot-2", supervisor="boot-2:7"), "machine_restarted"),
    ],
)
def test_a_start_says_what_ended_the_life_before(now, code) -> None:
    disk = MemoryDisk()
    assert Start(disk, HERE).begin().code == "node_started"
    begun = Start(disk, now).begin()
    assert (begun.code, begun.level) == (code, "warning")


def test_an_orderly_stop_is_nothing_to_warn_of() -> None:
    disk = MemoryDisk()
    first = Start(disk, HERE)
    first.begin()
    first.end()
    assert Start(disk, HERE).begin().message == "the node started after an orderly stop"


def test_a_record_of_the_last_life_that_cannot_be_read_is_no_record() -> None:
    disk = MemoryDisk()
    disk.files[PATH] = b"{"
    assert "first time" in Start(disk, HERE).begin().message
