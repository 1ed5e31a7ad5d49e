"""One suite for DeferralStore, on the file and on its twin."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from littoral.domain.deferral import Deferral, DeferralStore, Holding, Room
from littoral.domain.errors import Busy, Conflict, Damaged, LimitReached, StorageFull
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.units import Bytes, Micros
from littoral.domain.usage import UsageRecord
from littoral.stores.deferrals import DeferralFile, SqliteDeferrals
from littoral.testing.clock import SettableClock
from littoral.testing.deferrals import MemoryDeferrals
from littoral.testing.entropy import SeededEntropy
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

pytestmark = pytest.mark.anyio
HOME = ProjectId("home")
AWAY = ProjectId("away")
FAR_US = Micros(4_000_000_000_000_000)
MOST = Bytes(4 * 1024 * 1024)
ROOM = Room(node=Holding(count=100, size=MOST))
Opener = Callable[[], AbstractAsyncContextManager[DeferralStore]]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def deferral(number: int, **fields) -> Deferral:
    given = {
        "id": f"dfr_{number}",
        "project": HOME,
        "key": KeyId("k"),
        "path": "/v1/chat/completions",
        "model": "m",
        "accepted_us": Micros(number),
        "expires_us": FAR_US,
        "keep_us": FAR_US,
        "body": b'{"secret":"body"}',
    }
    return Deferral(**{**given, **fields})


def used(of: Deferral) -> UsageRecord:
    return usage_record(0, request=of.request, project=of.project, key=of.key)


def done(of: Deferral, **fields) -> Deferral:
    given = {
        "state": "completed",
        "ended_us": Micros(9),
        "media": "application/json",
        "answer": b'{"secret":"answer"}',
        "usage": used(of),
    }
    return replace(of, **{**given, **fields})


@pytest.fixture
def clock():
    return SettableClock()


def place(folder: Path, **fields) -> DeferralFile:
    given = {"path": str(folder / "deferred.db"), "key": b"k" * 32, "most": MOST, "spare": 0.0}
    return DeferralFile(**{**given, **fields})


def on_disk(where: DeferralFile, clock: SettableClock, sink: ListSink | None = None):
    entropy = SeededEntropy()
    return SqliteDeferrals.open(where, clock=clock, entropy=entropy, sink=sink or ListSink())


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: SettableClock) -> Opener:
    """Opens the same store again each time it is called."""
    memory = MemoryDeferrals(clock)

    @asynccontextmanager
    async def reopen() -> AsyncIterator[DeferralStore]:
        if request.param == "memory":
            yield memory
            return
        async with on_disk(place(tmp_path), clock) as store:
            yield store

    return reopen


async def test_what_was_accepted_is_there_as_it_was_also_when_opened_again(opened: Opener):
    whole = deferral(1, level=2, idempotency="one", digest="d", reason="no place")
    async with opened() as store:
        kept = await store.accept(whole, room=ROOM)
        assert kept == replace(whole, number=kept.number)
    async with opened() as store:
        assert await store.get(HOME, "dfr_1") == kept
        assert await store.get(AWAY, "dfr_1") is None
        assert await store.get(HOME, "dfr_2") is None


async def test_numbers_rise_in_the_order_of_acceptance_whatever_the_clock_says(opened: Opener):
    async with opened() as store:
        late = await store.accept(deferral(9), room=ROOM)
    async with opened() as store:
        early = await store.accept(deferral(1), room=ROOM)
        assert late.number < early.number
        assert [each.id for each in await store.ahead()] == ["dfr_9", "dfr_1"]
        assert all(each.body == b"" for each in await store.ahead())


async def test_the_same_idempotency_key_and_body_is_the_same_deferral(opened: Opener):
    first = deferral(1, idempotency="one", digest="d")
    async with opened() as store:
        kept = await store.accept(first, room=ROOM)
        assert await store.accept(replace(first, id="dfr_2"), room=ROOM) == kept
        with pytest.raises(Conflict, match="one"):
            await store.accept(replace(first, id="dfr_2", digest="other"), room=ROOM)
        other = await store.accept(replace(first, id="dfr_3", project=AWAY), room=ROOM)
        assert other.id == "dfr_3"
        assert await store.known(HOME, "one") == kept
        assert await store.known(HOME, "two") is None


async def test_a_project_and_the_node_have_room_for_so_many_that_wait(opened: Opener):
    room = Room(node=Holding(count=4, size=MOST), part=0.5)
    async with opened() as store:
        for number in (1, 2):
            await store.accept(deferral(number), room=room)
        with pytest.raises(LimitReached, match=r"project 'home' has 2 .* may have 2"):
            await store.accept(deferral(3), room=room)
        for number in (4, 5):
            await store.accept(deferral(number, project=AWAY), room=room)
        with pytest.raises(LimitReached, match="this node has 4"):
            await store.accept(deferral(6, project=ProjectId("third")), room=room)
        await store.end(done(deferral(1)))
        await store.accept(deferral(3), room=room)


async def test_a_project_and_the_node_have_room_for_so_many_bytes(opened: Opener):
    room = Room(node=Holding(count=100, size=Bytes(4000)), part=0.5)
    big = b"x" * 1000
    async with opened() as store:
        await store.accept(deferral(1, body=big), room=room)
        with pytest.raises(StorageFull, match=r"'home' keeps 1512 bytes .* may keep 2000"):
            await store.accept(deferral(2, body=big), room=room)
        await store.accept(deferral(3, body=big, project=AWAY), room=room)
        with pytest.raises(StorageFull, match="this node keeps 3024"):
            await store.accept(deferral(4, body=big, project=ProjectId("third")), room=room)


async def test_a_run_is_counted_and_may_be_handed_back(opened: Opener):
    async with opened() as store:
        await store.accept(deferral(1), room=ROOM)
        begun = await store.begin("dfr_1")
        assert (begun.state, begun.runs, begun.body) == ("running", 1, b'{"secret":"body"}')
        assert await store.hand_back("dfr_1", "busy", counted=False)
        (waiting,) = await store.ahead()
        assert (waiting.state, waiting.runs, waiting.reason) == ("queued", 0, "busy")
        await store.begin("dfr_1")
        assert await store.hand_back("dfr_1", "lost", counted=True)
        assert (await store.ahead())[0].runs == 1


async def test_an_end_comes_once_with_answer_and_usage_and_without_the_body(opened: Opener):
    async with opened() as store:
        kept = await store.accept(deferral(1), room=ROOM)
        assert await store.end(done(kept))
        assert not await store.end(replace(done(kept), state="failed"))
        assert not await store.hand_back("dfr_1", "", counted=True)
        assert await store.begin("dfr_1") is None
    async with opened() as store:
        ended = await store.get(HOME, "dfr_1")
        assert ended == replace(done(kept), body=b"")
        assert await store.ahead() == []
        assert not await store.end(deferral(2))


async def test_what_is_not_booked_is_known_until_it_is(opened: Opener):
    async with opened() as store:
        kept = await store.accept(deferral(1), room=ROOM)
        await store.end(done(kept))
    async with opened() as store:
        (left,) = await store.unbooked()
        assert (left.usage, left.answer) == (used(kept), b"")
        await store.booked("dfr_1")
        assert await store.unbooked() == []


async def test_what_has_ended_is_swept_when_its_time_is_over_and_it_is_booked(
    opened: Opener, clock: SettableClock
):
    soon = Micros(clock.wall() + 10)
    async with opened() as store:
        for number in (1, 2, 3):
            await store.accept(deferral(number, keep_us=soon), room=ROOM)
        await store.end(done(deferral(1, keep_us=soon)))
        await store.end(done(deferral(2, keep_us=soon), state="expired", usage=None))
        assert await store.sweep() == 0
        clock.advance(1.0)
        assert await store.sweep() == 1
        await store.booked("dfr_1")
        assert await store.sweep() == 1
        assert [each.id for each in await store.page(HOME, before=0, limit=9)] == ["dfr_3"]


async def test_deferrals_come_in_pages_the_last_one_first(opened: Opener):
    async with opened() as store:
        for number in (1, 2, 3):
            await store.accept(deferral(number), room=ROOM)
        await store.accept(deferral(4, project=AWAY), room=ROOM)
        first = await store.page(HOME, before=0, limit=2)
        assert [(each.id, each.body) for each in first] == [("dfr_3", b""), ("dfr_2", b"")]
        rest = await store.page(HOME, before=first[-1].number, limit=2)
        assert [each.id for each in rest] == ["dfr_1"]


async def test_one_is_deleted_and_a_project_is_purged(opened: Opener):
    async with opened() as store:
        for number in (1, 2, 3):
            await store.accept(deferral(number), room=ROOM)
        await store.accept(deferral(4, project=AWAY), room=ROOM)
        assert not await store.delete(AWAY, "dfr_1")
        assert await store.delete(HOME, "dfr_1")
        assert sorted(await store.projects()) == [AWAY, HOME]
        assert await store.purge(HOME) == 2
        assert await store.purge(HOME) == 0
        assert await store.projects() == [AWAY]


async def test_many_at_one_time_are_all_kept(opened: Opener):
    async with opened() as store:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(lambda n: store.accept(deferral(n), room=ROOM), number)
        assert len({each.number for each in await store.ahead()}) == 20


async def test_whoever_is_cancelled_meanwhile_still_hears_what_is_kept(opened: Opener):
    heard = list[str]()

    async def accept(number: int) -> None:
        heard.append((await store.accept(deferral(number), room=ROOM)).id)

    async with opened() as store:
        async with anyio.create_task_group() as group:
            group.start_soon(accept, 1)
            group.start_soon(accept, 2)
            for _ in range(3):  # both have asked, and nothing is on disk yet
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert heard == [each.id for each in await store.ahead()] == ["dfr_1", "dfr_2"]


# the file only


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_nothing_of_a_body_or_an_answer_is_in_the_file(tmp_path: Path, clock: SettableClock):
    async with on_disk(place(tmp_path), clock) as store:
        await store.accept(deferral(1), room=ROOM)
        await store.end(done(deferral(1)))
        await store.accept(deferral(2), room=ROOM)
    written = everything_in(tmp_path)
    assert b"dfr_1" in written
    assert b"secret" not in written


async def test_another_key_opens_nothing(tmp_path: Path, clock: SettableClock):
    async with on_disk(place(tmp_path), clock) as store:
        await store.accept(deferral(1), room=ROOM)
    async with on_disk(place(tmp_path, key=b"o" * 32), clock) as store:
        with pytest.raises(Damaged):
            await store.get(HOME, "dfr_1")


async def test_a_disk_that_is_nearly_full_takes_no_more(tmp_path: Path, clock: SettableClock):
    async with on_disk(place(tmp_path, spare=1.01), clock) as store:
        with pytest.raises(StorageFull, match=r"less than 101% of this node's disk is free"):
            await store.accept(deferral(1), room=ROOM)


async def test_a_file_that_is_full_says_so(tmp_path: Path, clock: SettableClock):
    async with on_disk(place(tmp_path, most=Bytes(64 * 4096)), clock) as store:
        with pytest.raises(StorageFull, match="no room for deferred requests"):
            await store.accept(deferral(1, body=b"x" * 400_000), room=ROOM)
        await store.accept(deferral(2), room=ROOM)


async def test_a_damaged_file_is_set_aside_and_told_of(tmp_path: Path, clock: SettableClock):
    tmp_path.joinpath("deferred.db").write_bytes(b"not a database" * 1000)
    sink = ListSink()
    async with on_disk(place(tmp_path), clock, sink) as store:
        await store.accept(deferral(1), room=ROOM)
    assert [event.code for event in sink.events] == ["deferrals.damaged"]


async def test_one_process_at_a_time_has_the_file(tmp_path: Path, clock: SettableClock):
    async with on_disk(place(tmp_path), clock):
        with pytest.raises(Busy):
            async with on_disk(place(tmp_path), clock):
                pass
