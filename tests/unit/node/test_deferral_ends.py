"""Requests that wait at a node, and what ends them or the node: nothing is lost or doubled."""

import contextlib

import anyio
import pytest

from deferred import Gateway, House
from littoral.domain.deferral import Holding, Room
from littoral.domain.errors import Damaged, LimitReached, StorageFull, Unavailable
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.local import Quit
from littoral.domain.units import Bytes
from littoral.testing.failpoints import Crash
from littoral.testing.loop import simulate


@pytest.fixture
def house(around) -> House:
    made = House(around)
    made.know("k")
    return made


# keys and projects that go


def test_a_key_that_is_revoked_takes_what_it_asked_for_with_it(house) -> None:
    async def script() -> None:
        Gateway(house)
        await house.defer()
        await house.defer("dfr_2", key=KeyId("other"))
        house.know("k", "other", revoked=("k",))
        await anyio.sleep(0.1)
        assert [await house.state(each) for each in ("dfr_1", "dfr_2")] == ["cancelled", "queued"]
        assert "revoked" in (await house.look())[0].reason

    house.life(script)


def test_a_project_that_is_gone_takes_everything_with_it(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        await house.defer("dfr_2", model="other")
        house.know("stranger", project=ProjectId("else"))
        await anyio.sleep(0.1)
        assert isinstance(gateway.frames[-1], Quit)
        assert await house.store.projects() == []

    house.life(script)


def test_what_this_build_cannot_read_of_a_snapshot_takes_nothing_with_it(house) -> None:
    async def script() -> None:
        await house.defer()
        house.know("stranger", project=ProjectId("else"), unread=("k",))
        await anyio.sleep(0.1)
        assert await house.state() == "queued"
        house.know("stranger", project=ProjectId("else"))
        await anyio.sleep(0.1)
        assert await house.store.projects() == []

    house.life(script)


# bounds and questions


def test_more_than_may_wait_are_refused(house) -> None:
    house.bounds = {"room": Room(node=Holding(count=1, size=Bytes(10_000)))}

    async def script() -> None:
        await house.defer()
        with pytest.raises(LimitReached):
            await house.defer("dfr_2")
        house.store.full = True
        with pytest.raises(StorageFull):
            await house.defer("dfr_3")

    house.life(script)


def test_deferrals_are_listed_and_found_by_their_idempotency_key(house) -> None:
    async def script() -> None:
        kept = await house.defer(idempotency="one", digest="d")
        assert await house.defer("dfr_2", idempotency="one", digest="d") == kept
        assert [each.id for each in await house.look("list", "", limit=9)] == ["dfr_1"]
        assert await house.look("same", "one") == (kept,)
        assert await house.look("same", "two") == ()

    house.life(script)


def test_an_answer_for_which_there_is_no_room_is_told_and_booked(house) -> None:
    end = house.store.end

    async def full(ended):
        if ended.answer:
            raise StorageFull("no room for deferred requests")
        return await end(ended)

    async def script() -> None:
        house.store.end = full
        house.serve("m")
        gateway = Gateway(house)
        kept = await house.defer()
        await gateway.answer()
        (ended,) = await house.look()
        assert ended.state == "failed"
        assert "no room for its answer" in ended.reason
        assert await house.booked() == [kept.request]

    house.life(script)


def test_a_disk_that_refuses_is_told_once_and_asked_again(house) -> None:
    booked, left = house.store.booked, [3]

    async def flaky(name):
        if left[0]:
            left[0] -= 1
            raise StorageFull("full")
        await booked(name)

    async def script() -> None:
        house.store.booked = flaky
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        await gateway.answer()
        await anyio.sleep(5.0)
        assert await house.store.unbooked() == []
        told = [each.code for each in house.around.sink.events if each.subject == "deferrals"]
        assert told == ["storage_full"]

    house.life(script)


def test_a_body_that_cannot_be_read_any_more_has_failed(house) -> None:
    async def damaged(_name):
        raise Damaged("a sealed value was changed")

    async def script() -> None:
        house.store.begin = damaged
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        await anyio.sleep(0.1)
        assert gateway.frames == []
        assert (await house.look())[0].reason == "a sealed value was changed"

    house.life(script)


# crashes


def test_what_was_accepted_before_the_node_ended_runs_in_its_next_life(house) -> None:
    async def accept() -> None:
        await house.defer()

    async def later() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await anyio.sleep(0.1)
        await gateway.answer()
        assert await house.state() == "completed"

    house.life(accept)
    house.life(later)
    assert len(simulate(house.booked)) == 1


PLACES = ("deferred.accepted", "deferred.started", "deferred.settled", "deferred.booked")


@pytest.mark.parametrize("act", ["kill", "error", "delay"])
@pytest.mark.parametrize("name", PLACES)
def test_a_node_that_is_hit_at_a_failpoint_loses_and_doubles_nothing(house, name, act):
    gateways: list[Gateway] = []

    async def live() -> None:
        house.serve("m")
        gateways.append(Gateway(house))
        if not gateways[1:]:
            with contextlib.suppress(Unavailable):
                await house.defer()
        for _ in range(3):
            await anyio.sleep(1.0)
            if gateways[-1].runs and await house.state() == "running":
                await gateways[-1].answer()

    error = {"kill": Crash(name), "error": Unavailable(name), "delay": None}[act]
    if error is not None:
        house.around.failpoints.arm(name, error)
    else:
        house.around.failpoints.delay(name, 2.0)
    if act == "kill" or (act == "error" and name != "deferred.accepted"):
        house.dying_life(live, type(error))
    else:
        house.life(live)
    assert house.around.failpoints.acted[name] == 1
    house.life(live)
    house.life(live)
    assert simulate(house.booked) == ["req_1"]
    runs = sum(len(each.runs) for each in gateways)
    assert runs == 1 or name == "deferred.accepted"


def test_a_run_that_ended_with_the_node_begins_again_and_not_for_ever(house) -> None:
    runs: list[str] = []

    async def live() -> None:
        house.serve("m")
        gateway = Gateway(house)
        if not runs:
            await house.defer()
        await anyio.sleep(0.1)
        runs.extend(gateway.runs)

    for _ in range(12):
        house.life(live)

    async def last() -> None:
        assert (await house.look())[0].reason.startswith("the node that ran it ended")
        assert await house.state() == "failed"

    house.life(last)
    assert len(runs) == 10
