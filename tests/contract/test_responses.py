"""One suite for ResponseStore, on the file and on its twin."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import astuple, replace
from pathlib import Path

import anyio
import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Busy, Conflict, StorageFull, TooLarge, UnknownName
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.response import MAX_THREAD, ResponseStore, StoredResponse
from littoral.domain.units import Bytes, Micros
from littoral.stores import responses, sqlite
from littoral.stores.responses import NAMES, SqliteResponses
from littoral.testing.clock import SettableClock
from littoral.testing.responses import MemoryResponses
from littoral.testing.sink import ListSink

pytestmark = pytest.mark.anyio
HOME = ProjectId("home")
AWAY = ProjectId("away")
MOST = Bytes(2 * 1024 * 1024)
Opener = Callable[[], AbstractAsyncContextManager[ResponseStore]]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def response(number: int, **fields) -> StoredResponse:
    given_ = {
        "id": f"resp_{number}",
        "project": HOME,
        "key": KeyId("k"),
        "created_us": Micros(number),
        "expires_us": Micros(4_000_000_000_000_000),
        "status": "completed",
        "body": b'{"id":1}',
    }
    return StoredResponse(**{**given_, **fields})


@pytest.fixture
def clock():
    return SettableClock()


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: SettableClock) -> Opener:
    """Opens the same store again each time it is called."""
    memory = MemoryResponses(clock, most=MOST)

    @asynccontextmanager
    async def reopen() -> AsyncIterator[ResponseStore]:
        if request.param == "memory":
            yield memory
            return
        path = str(tmp_path / "responses.db")
        async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST) as store:
            yield store

    return reopen


async def test_what_was_put_is_there_as_it_was_also_when_opened_again(opened: Opener):
    whole = response(
        1,
        status="failed",
        reason="why",
        background=True,
        streamed=True,
        previous="resp_0",
        runs=2,
        input=b"[1]",
        asked=b"{}",
        events=b"e\x00",
    )
    async with opened() as store:
        await store.put(whole)
    async with opened() as store:
        assert await store.get(HOME, "resp_1") == whole


async def test_another_project_neither_sees_nor_drops_nor_overwrites_it(opened: Opener):
    async with opened() as store:
        await store.put(response(1))
        assert await store.get(AWAY, "resp_1") is None
        assert not await store.delete(AWAY, "resp_1")
        with pytest.raises(UnknownName):
            await store.thread(AWAY, "resp_1")
        with pytest.raises(Conflict):
            await store.put(response(1, project=AWAY))
        assert not await store.advance(response(1, project=AWAY, status="queued"))
        assert await store.get(HOME, "resp_1") == response(1)


async def test_only_what_is_under_way_advances(opened: Opener):
    async with opened() as store:
        await store.put(response(1, status="queued"))
        assert await store.advance(response(1, status="in_progress", runs=1))
        assert await store.advance(response(1, status="cancelled"))
        assert not await store.advance(response(1, status="completed"))
        assert not await store.advance(response(2))
        found = await store.get(HOME, "resp_1")
    assert found is not None
    assert found.status == "cancelled"


async def test_a_thread_is_everything_it_continues_oldest_first(opened: Opener):
    async with opened() as store:
        await store.put(response(1))
        await store.put(response(2, previous="resp_1"))
        await store.put(response(3, previous="resp_2"))
        assert [each.id for each in await store.thread(HOME, "resp_3")] == [
            "resp_1",
            "resp_2",
            "resp_3",
        ]
        await store.delete(HOME, "resp_1")
        with pytest.raises(UnknownName, match="resp_1"):
            await store.thread(HOME, "resp_3")


async def test_a_thread_that_fits_no_frame_is_too_large(tmp_path: Path, clock: SettableClock):
    big = b"x" * (MAX_THREAD // 2)
    path = str(tmp_path / "r.db")
    most = Bytes(64 * 1024 * 1024)
    async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=most) as store:
        for each in (store, MemoryResponses(clock)):
            await each.put(response(1, body=big))
            await each.put(response(2, body=big, previous="resp_1"))
            with pytest.raises(TooLarge):
                await each.thread(HOME, "resp_2")
            assert len(await each.thread(HOME, "resp_1")) == 1


async def test_what_is_over_is_not_there_and_is_swept(opened: Opener, clock: SettableClock):
    async with opened() as store:
        await store.put(response(1, expires_us=Micros(clock.wall() + 10)))
        await store.put(response(2, expires_us=Micros(clock.wall() + 10_000_000)))
        await store.put(response(3, expires_us=Micros(clock.wall() + 10), status="queued"))
        clock.advance(1.0)
        assert await store.get(HOME, "resp_1") is None
        assert await store.get(HOME, "resp_2") is not None
        assert await store.under_way() == []
        assert await store.sweep() == 2
        assert await store.sweep() == 0


async def test_those_under_way_come_oldest_first(opened: Opener, clock: SettableClock):
    late = Micros(clock.wall() + 1_000_000)
    async with opened() as store:
        for number, status in ((3, "queued"), (1, "in_progress"), (2, "completed")):
            await store.put(response(number, status=status, expires_us=late))
        assert [each.id for each in await store.under_way()] == ["resp_1", "resp_3"]


async def test_dropping_it_twice_says_so(opened: Opener):
    async with opened() as store:
        await store.put(response(1))
        assert await store.delete(HOME, "resp_1")
        assert not await store.delete(HOME, "resp_1")
        assert await store.get(HOME, "resp_1") is None


async def test_many_at_once_are_all_kept_and_errors_stay_with_their_callers(opened: Opener):
    async with opened() as store:
        await store.put(response(0, project=AWAY))
        errors = []

        async def put(number: int) -> None:
            try:
                await store.put(response(number))
            except Conflict as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(put, number)
        found = [await store.get(HOME, f"resp_{number}") for number in range(20)]
    assert len(errors) == 1
    assert [each is not None for each in found] == [False] + [True] * 19


async def test_a_full_store_says_so_keeps_what_it_has_and_takes_more_after_a_delete(
    tmp_path: Path, clock: SettableClock
):
    path = str(tmp_path / "r.db")
    body = b"x" * 300_000
    async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST) as store:
        for number in range(4):
            await store.put(response(number, body=body))
        with pytest.raises(StorageFull):
            await store.put(response(9, body=body * 4))
        assert await store.get(HOME, "resp_9") is None
        assert await store.get(HOME, "resp_3") == response(3, body=body)
        assert await store.delete(HOME, "resp_0")
        await store.put(response(9, body=body))


async def test_a_full_twin_says_so_too(clock: SettableClock):
    twin = MemoryResponses(clock)
    twin.full = True
    with pytest.raises(StorageFull):
        await twin.put(response(1))
    with pytest.raises(StorageFull):
        await twin.advance(response(1))


async def test_a_damaged_file_is_set_aside_and_told_of(tmp_path: Path, clock: SettableClock):
    path, sink = tmp_path / "r.db", ListSink()
    path.write_bytes(b"no database at all, and long enough to be looked at" * 100)
    async with SqliteResponses.open(str(path), clock=clock, sink=sink, most=MOST) as store:
        await store.put(response(1))
        assert await store.get(HOME, "resp_1") == response(1)
    assert [event.code for event in sink.events] == ["responses.damaged"]
    names = [each.name async for each in anyio.Path(tmp_path).glob("r.db.damaged-*")]
    assert len(names) == 1


async def test_two_cannot_hold_one_file(tmp_path: Path, clock: SettableClock):
    path = str(tmp_path / "r.db")
    async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST):
        with pytest.raises(Busy):
            async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST):
                pass
    assert apsw.Connection(path).pragma("journal_mode") == "wal"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "advance", "delete", "get"]),
        st.integers(0, 3),
        st.sampled_from(["queued", "in_progress", "completed", "cancelled"]),
    ),
    max_size=20,
)


@given(steps=STEPS)
def test_the_file_and_its_twin_never_differ(steps, tmp_path_factory):
    clock = SettableClock()

    async def walk() -> None:
        path = str(tmp_path_factory.mktemp("r") / "r.db")
        twin = MemoryResponses(clock)
        async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST) as store:
            for verb, number, status in steps:
                each = response(number, status=status)
                told = []
                for one in (store, twin):
                    match verb:
                        case "put":
                            told.append(await one.put(each))
                        case "advance":
                            told.append(await one.advance(each))
                        case "delete":
                            told.append(await one.delete(HOME, each.id))
                        case _:
                            told.append(await one.get(HOME, each.id))
                assert told[0] == told[1]
            assert await store.under_way() == await twin.under_way()

    anyio.run(walk)


def test_a_changed_response_is_another_one():
    assert replace(response(1), runs=1) != response(1)
    assert response(1, input=b"[]", body=b"ab", asked=b"c", events=b"d").size == 6


async def test_a_project_keeps_no_more_than_its_part_whatever_it_replaces(opened: Opener):
    body, part = b"x" * (MOST // 10), 0.35
    async with opened() as store:
        for number in range(3):
            await store.put(response(number, body=body), part=part)
        for number in (0, 2):
            await store.put(response(number, body=body), part=part)
        with pytest.raises(
            StorageFull, match=r"project 'home' stores \d+ bytes of responses and may store"
        ):
            await store.put(response(3, body=body), part=part)
        assert await store.get(HOME, "resp_3") is None
        await store.put(response(4, body=body, project=AWAY), part=part)
    async with opened() as store:
        with pytest.raises(StorageFull):
            await store.put(response(3, body=body), part=part)
        await store.delete(HOME, "resp_1")
        await store.put(response(3, body=body, status="queued"), part=part)
        assert await store.advance(response(3, body=body + body, status="completed"))
        with pytest.raises(StorageFull):
            await store.put(response(5), part=part)


async def test_what_a_project_keeps_in_an_older_file_counts(tmp_path: Path, clock: SettableClock):
    path = str(tmp_path / "responses.db")
    connection = apsw.Connection(path)
    sqlite.migrate(connection, responses.STEPS[:1])
    old = response(1, body=b"x" * 1_500_000)
    marks = ", ".join("?" * len(NAMES))
    connection.execute(f"insert into response values({marks})", astuple(old))
    connection.close()
    async with SqliteResponses.open(path, clock=clock, sink=ListSink(), most=MOST) as store:
        with pytest.raises(StorageFull, match="project 'home'"):
            await store.put(response(2, body=b"x" * 500_000), part=0.9)
