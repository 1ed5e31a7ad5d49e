"""What happens at a node is written down first; what repeats is told as one, with its count."""

from functools import partial

import anyio
import msgspec
import pytest

from littoral.domain.enrolment import DIARY
from littoral.domain.node import Event
from littoral.node.diary import EVERY, Diary
from littoral.node.flush import Flush
from littoral.node.journal import FIRST, Journal
from littoral.testing.disk import MemoryDisk
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox


class Desk:
    """A journal that runs, and its outbox."""

    def __init__(self, around) -> None:
        self.clock, self.chance = around.clock, around.chance
        self.failpoints = around.failpoints
        self.board = around.board
        self.outbox = MemoryOutbox()
        flush = Flush(
            self.outbox, board=self.board, chance=around.chance, failpoints=around.failpoints
        )
        self.disk = MemoryDisk()
        diary = Diary(self.disk, clock=around.clock)
        self.journal = Journal(self.board, self.outbox, flush, clock=around.clock, diary=diary)

    async def written(self) -> list[Event]:
        rows = (await self.outbox.read("event", 0, 500)).rows
        return [row.event for row in rows if row.event is not None]

    def during(self, script) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.journal.run)
                await script()
                group.cancel_scope.cancel()

        simulate(main)

    def fail(self, words: str = "boom", code: str = "engine_crashed") -> None:
        self.board.say("chat", code, words, level="error")


@pytest.fixture
def desk(around) -> Desk:
    return Desk(around)


def test_an_event_is_written_at_once_as_it_was_said(desk) -> None:
    async def script() -> None:
        desk.fail()
        await anyio.sleep(0.01)
        (event,) = await desk.written()
        assert (event.code, event.message, event.level, event.count) == (
            "engine_crashed", "boom", "error", 1,
        )  # fmt: skip

    desk.during(script)


def test_what_repeats_is_told_as_one_with_its_count_and_first_time_and_last_words(desk) -> None:
    async def script() -> None:
        for number in range(8):
            desk.fail(f"boom {number}")
            desk.fail(code="other")
            await anyio.sleep(1)
        assert [event.code for event in await desk.written()] == ["engine_crashed", "other"]
        await anyio.sleep(FIRST)
        first, _, again, _ = await desk.written()
        assert (again.message, again.count) == ("boom 7", 7)
        assert 0 < again.at_us - first.at_us <= 1_100_000

    desk.during(script)


def test_hours_of_failures_each_second_is_few_rows_and_none_is_lost_count_of(desk) -> None:
    async def script() -> None:
        for _ in range(2 * 3600):
            desk.fail()
            await anyio.sleep(1)

    desk.during(script)

    async def after() -> None:
        events = await desk.written()
        assert len(events) < 15
        assert sum(event.count for event in events) == 2 * 3600

    simulate(after)


def test_after_a_quiet_window_it_is_told_at_once_again(desk) -> None:
    async def script() -> None:
        desk.fail("one")
        await anyio.sleep(FIRST * 3)
        desk.fail("two")
        await anyio.sleep(0.01)
        assert [event.message for event in await desk.written()] == ["one", "two"]

    desk.during(script)


def test_a_full_disk_keeps_it_waiting_and_it_is_written_after(desk) -> None:
    async def script() -> None:
        desk.outbox.full = True
        desk.fail()
        await anyio.sleep(30)
        assert await desk.written() == []
        desk.outbox.full = False
        await anyio.sleep(2)
        assert [event.count for event in await desk.written()] == [1]

    desk.during(script)


def test_what_was_counted_when_the_node_ends_is_written(desk) -> None:
    async def script() -> None:
        for _ in range(3):
            desk.fail()
            await anyio.sleep(0.1)

    desk.during(script)

    async def after() -> None:
        assert [event.count for event in await desk.written()] == [1, 2]

    simulate(after)


def diary(desk) -> list[Event]:
    return msgspec.json.decode(desk.disk.files[DIARY], type=list[Event])


def test_people_on_the_machine_find_the_last_events_in_a_file_over_restarts(desk) -> None:
    async def script() -> None:
        desk.fail("one")
        await anyio.sleep(0.1)
        assert [event.message for event in diary(desk)] == ["one"]
        desk.fail("two", code="other")
        await anyio.sleep(0.1)
        assert len(diary(desk)) == 1
        await anyio.sleep(EVERY + 1)
        assert [event.message for event in diary(desk)] == ["one", "two"]

    desk.during(script)
    again = Desk(desk)
    again.disk.files.update(desk.disk.files)
    again.during(partial(again_said, again))
    assert [event.message for event in diary(again)] == ["one", "two", "three"]


async def again_said(desk) -> None:
    desk.fail("three")
    await anyio.sleep(0.1)


def test_a_diary_that_cannot_be_read_or_written_stops_nothing(desk) -> None:
    desk.disk.files[DIARY] = b"half a"

    async def script() -> None:
        desk.disk.full = True
        desk.fail("one")
        await anyio.sleep(EVERY + 1)
        assert desk.disk.files[DIARY] == b"half a"
        desk.disk.full = False
        desk.fail("two", code="other")
        await anyio.sleep(EVERY + 1)
        assert [event.message for event in diary(desk)] == ["one", "two"]

    desk.during(script)
