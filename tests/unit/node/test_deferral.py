"""Requests that wait at a node: begun in order, answered and booked once, whoever dies."""

from dataclasses import replace

import anyio
import pytest

from deferred import HOME, Gateway, House, usage
from littoral.domain.errors import Unavailable, UnknownName
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.local import Quit
from littoral.domain.project import KeyGrant
from littoral.domain.units import HOUR_US, Micros
from littoral.testing.loop import simulate


@pytest.fixture
def house(around) -> House:
    made = House(around)
    made.know("k")
    return made


def test_what_waits_runs_when_a_place_is_there_and_is_booked_once(house) -> None:
    async def script() -> None:
        gateway = Gateway(house)
        kept = await house.defer()
        await anyio.sleep(5.0)
        assert (gateway.runs, await house.state()) == ([], "queued")
        house.serve("m")
        await anyio.sleep(0.01)
        assert gateway.frames[0].deferral.body == b"{}"
        assert await house.state() == "running"
        await gateway.answer()
        (ended,) = await house.look("thread")
        assert (ended.state, ended.answer, ended.media) == ("completed", b"{}", "application/json")
        assert await house.booked() == [kept.request]

    house.life(script)
    house.life(lambda: anyio.sleep(1.0))
    assert len(simulate(house.booked)) == 1


def test_what_waits_for_one_model_is_begun_in_its_order_and_does_not_hold_up_others(house) -> None:
    async def script() -> None:
        house.bounds = {}
        gateway = Gateway(house)
        await house.defer("dfr_a1", model="a")
        await house.defer("dfr_b1", model="b")
        await house.defer("dfr_a2", model="a")
        house.serve("b")
        await anyio.sleep(0.01)
        assert gateway.runs == ["dfr_b1"]
        house.serve("a")
        await anyio.sleep(0.01)
        assert gateway.runs == ["dfr_b1", "dfr_a1", "dfr_a2"]

    house.life(script)


def test_so_many_run_at_one_time_and_projects_take_turns(house) -> None:
    house.bounds = {"running": 2}
    away = ProjectId("away")
    house.around.board.put_snapshot(
        replace(
            house.around.board.snapshot,
            keys=tuple(
                KeyGrant(id=KeyId("k"), project=each, mac=b"", scopes=()) for each in (HOME, away)
            ),
        )
    )

    async def script() -> None:
        for number in range(3):
            await house.defer(f"dfr_h{number}")
        await house.defer("dfr_w0", project=away)
        house.serve("m")
        first, second = Gateway(house), Gateway(house)
        await anyio.sleep(0.01)
        assert sorted(first.runs + second.runs) == ["dfr_h0", "dfr_w0"]
        assert len(first.runs) == 1
        await first.answer()
        await anyio.sleep(0.01)
        assert sorted(first.runs + second.runs) == ["dfr_h0", "dfr_h1", "dfr_w0"]

    house.life(script)


def test_what_is_handed_back_waits_longer_each_time_and_keeps_its_place(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await house.defer("dfr_1")
        await gateway.hand_back()
        await house.defer("dfr_2")
        assert gateway.runs == ["dfr_1"]
        assert (await house.look())[0].reason == "busy"
        await anyio.sleep(2.1)
        assert gateway.runs == ["dfr_1", "dfr_1", "dfr_2"]
        await gateway.hand_back(1)
        await anyio.sleep(2.5)
        assert len(gateway.runs) == 3
        await anyio.sleep(2.0)
        assert gateway.runs[3:] == ["dfr_1"]
        await gateway.answer()
        assert (await house.look())[0].runs == 1

    house.life(script)


def test_engines_that_fail_for_ever_end_it(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await house.defer(expires_us=Micros(house.around.clock.wall() + 24 * HOUR_US))
        for _ in range(10):
            await gateway.hand_back(counted=True)
            await anyio.sleep(70.0)
        assert len(gateway.runs) == 10
        (ended,) = await house.look()
        assert (ended.state, ended.reason) == ("failed", "busy; it was begun 10 times")

    house.life(script)


def test_what_a_dead_gateway_ran_is_run_by_another(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        gateway.dies()
        await anyio.sleep(0.01)
        other = Gateway(house)
        await anyio.sleep(0.01)
        assert other.runs == ["dfr_1"]
        await gateway.answer()  # what the dead one says is nobody's
        assert await house.state() == "running"
        await other.answer()
        assert len(await house.booked()) == 1

    house.life(script)


def test_what_has_not_begun_when_its_time_is_over_has_expired_and_says_why_it_waited(house) -> None:
    async def script() -> None:
        Gateway(house)
        await house.defer(reason="no endpoint of 'm' answers now")
        await anyio.sleep(3602.0)
        (ended,) = await house.look()
        assert ended.state == "expired"
        assert ended.reason.endswith("no endpoint of 'm' answers now")
        assert ended.keep_us == ended.ended_us + 72 * HOUR_US
        await house.defer("dfr_2", expires_us=Micros(house.around.clock.wall()))
        await anyio.sleep(1.5)
        assert (await house.look(name="dfr_2"))[0].reason == "its time passed while it waited"

    house.life(script)


def test_what_has_ended_is_kept_for_its_time_only(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        await gateway.answer()
        await anyio.sleep(71 * 3600.0)
        assert await house.state() == "completed"
        await anyio.sleep(3700.0)
        with pytest.raises(UnknownName, match="dfr_1"):
            await house.look()

    house.life(script)


# cancelling


def test_what_waits_is_cancelled_and_does_not_run(house) -> None:
    async def script() -> None:
        gateway = Gateway(house)
        await house.defer()
        assert (await house.look("halt"))[0].state == "cancelled"
        house.serve("m")
        await anyio.sleep(2.0)
        assert gateway.frames == []
        assert (await house.look("halt"))[0].state == "cancelled"

    house.life(script)


def test_what_the_disk_did_not_let_be_cancelled_still_runs(house) -> None:
    end, left = house.store.end, [1]

    async def flaky(ended):
        if left:
            left.clear()
            raise Unavailable("the disk failed")
        return await end(ended)

    async def script() -> None:
        house.store.end = flaky
        gateway = Gateway(house)
        await house.defer()
        with pytest.raises(Unavailable):
            await house.look("halt")
        house.serve("m")
        await anyio.sleep(2.0)
        assert gateway.runs == ["dfr_1"]

    house.life(script)


def test_what_runs_is_stopped_and_what_it_used_is_booked(house) -> None:
    async def script() -> None:
        house.serve("m")
        gateway = Gateway(house)
        kept = await house.defer()
        assert (await house.look("drop"))[0].state == "cancelled"
        assert isinstance(gateway.frames[-1], Quit)
        used = usage(kept.request, status="cancelled")
        await gateway.answer(state="cancelled", answer=b"", usage=used)
        assert await house.booked() == [kept.request]
        assert await house.look("drop") == ()
        with pytest.raises(UnknownName):
            await house.look()

    house.life(script)


def test_what_is_cancelled_before_its_gateway_knew_is_not_sent(house) -> None:
    begin = house.store.begin

    async def slow(name):
        found = await begin(name)
        await anyio.sleep(1.0)
        return found

    async def script() -> None:
        house.store.begin = slow
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        await house.look("halt")
        await anyio.sleep(2.0)
        assert gateway.frames == []
        assert await house.state() == "cancelled"

    house.life(script)


def test_an_end_that_comes_while_it_is_cancelled_stands(house) -> None:
    get, seen = house.store.get, []

    async def late(project, name):
        return seen.pop() if seen else await get(project, name)

    async def script() -> None:
        house.store.get = late
        house.serve("m")
        gateway = Gateway(house)
        await house.defer()
        (stale,) = await house.look()
        await gateway.answer()
        seen.append(stale)
        assert (await house.look("halt"))[0].state == "completed"

    house.life(script)
