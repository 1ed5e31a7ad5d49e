"""Responses in the background: run by one gateway, at least once."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.session import Keep, Quit, Ran, Run, Shelved, Told
from littoral.domain.units import Micros, Seconds
from littoral.node import background
from littoral.testing.loop import simulate
from shelves import HOME, House, about, response


@pytest.fixture
def house(around) -> House:
    return House(around)


def test_a_queued_response_runs_once_and_is_closed_with_its_answer(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response()))
        (run,) = gateway.of(Run)
        assert (run.response.status, run.response.runs) == ("in_progress", 1)
        assert await house.status() == "in_progress"
        await gateway.ask(Ran(run=run.run, status="completed", body=b"done"))
        found = await house.store.get(HOME, "resp_1")
        assert (found.status, found.body, found.asked) == ("completed", b"done", b"")
        await anyio.sleep(10)
        assert len(gateway.of(Run)) == 1

    house.during(script)


def test_work_is_spread_over_gateways_and_waits_beyond_the_bound(house) -> None:
    house.bound(running=4)

    async def script() -> None:
        one, other = house.gateway(), house.gateway()
        await anyio.sleep(0.01)
        for number in range(6):
            await one.ask(Keep(number=number, response=response(f"resp_{number}")))
        assert (len(one.of(Run)), len(other.of(Run))) == (2, 2)
        await one.ask(Ran(run=one.of(Run)[0].run, status="completed"))
        assert (len(one.of(Run)), len(other.of(Run))) == (3, 2)

    house.during(script)


def test_more_than_may_wait_are_refused(house) -> None:
    house.bound(running=0, waiting=1)

    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response()))
        (answer,) = await gateway.ask(Keep(number=2, response=response("resp_2")))
        assert (answer.status, answer.code) == (503, "overloaded")
        assert await house.status("resp_2") is None

    house.during(script)


def test_a_run_whose_gateway_dies_is_given_to_another(house) -> None:
    async def script() -> None:
        one = house.gateway()
        await one.ask(Keep(number=1, response=response()))
        other = house.gateway()
        one.dies()
        await anyio.sleep(0.01)
        (run,) = other.of(Run)
        assert run.response.runs == 2
        await other.ask(Ran(run=run.run, status="completed", body=b"done"))
        assert await house.status() == "completed"

    house.during(script)


def test_a_run_that_kills_every_gateway_has_failed_and_says_so(house) -> None:
    async def script() -> None:
        for _ in range(background.RUNS):
            gateway = house.gateway()
            await gateway.ask(Keep(number=1, response=response("other")))
            if await house.status() is None:
                await gateway.ask(Keep(number=2, response=response()))
            gateway.dies()
            await anyio.sleep(0.01)
        found = await house.store.get(HOME, "resp_1")
        assert (found.status, found.asked) == ("failed", b"")
        assert "3 times" in found.reason

    house.during(script)


def test_a_stream_that_was_cut_has_failed_since_it_cannot_be_taken_back(house) -> None:
    async def script() -> None:
        gateway, other = house.gateway(), house.gateway()
        await anyio.sleep(0.01)
        await gateway.ask(Keep(number=1, response=response(streamed=True)))
        runner = gateway if gateway.of(Run) else other
        await runner.ask(Told(run=runner.of(Run)[0].run, events=b"said"))
        runner.dies()
        await anyio.sleep(0.01)
        found = await house.store.get(HOME, "resp_1")
        assert (found.status, found.reason, found.events) == ("failed", background.CUT, b"said")

    house.during(script)


def test_what_was_under_way_when_the_node_ended_is_run_again(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await anyio.sleep(0.01)
        assert [run.response.id for run in gateway.of(Run)] == ["a", "b"]
        assert await house.status("c") == "failed"
        assert await house.status("d") == "failed"

    async def before() -> None:
        await house.store.put(response("a", created_us=Micros(1)))
        await house.store.put(response("b", status="in_progress", runs=1, created_us=Micros(2)))
        await house.store.put(response("c", status="in_progress", runs=1, streamed=True))
        await house.store.put(response("d", status="in_progress", runs=background.RUNS))

    simulate(before)
    house.during(script)


def test_what_is_handed_back_runs_later_until_patience_ends(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        born = Micros(house.around.clock.wall())
        await gateway.ask(Keep(number=1, response=response(created_us=born)))
        again = Seconds(5.0)
        ran = Ran(run=gateway.of(Run)[0].run, status="failed", reason="limit", again_s=again)
        await gateway.ask(ran)
        assert await house.status() == "queued"
        await anyio.sleep(4.0)
        assert len(gateway.of(Run)) == 1
        await anyio.sleep(4.0)
        assert [run.response.runs for run in gateway.of(Run)] == [1, 1]
        await anyio.sleep(4000.0)
        await gateway.ask(replace(ran, run=gateway.of(Run)[1].run))
        found = await house.store.get(HOME, "resp_1")
        assert (found.status, found.reason) == ("failed", "limit")

    house.during(script)


def test_a_run_whose_engine_failed_is_tried_again_so_often(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        born = Micros(house.around.clock.wall())
        await gateway.ask(Keep(number=1, response=response(created_us=born)))
        for begun in range(1, background.RUNS + 1):
            run = gateway.of(Run)[-1]
            assert run.response.runs == begun
            ran = Ran(run=run.run, status="failed", reason="it broke")
            await gateway.ask(replace(ran, again_s=Seconds(2.0), counted=True))
            await anyio.sleep(4.0)
        assert len(gateway.of(Run)) == background.RUNS
        found = await house.store.get(HOME, "resp_1")
        assert (found.status, found.reason) == ("failed", "it broke")

    house.during(script)


def test_cancelling_stops_the_run_and_what_it_says_later_is_not_heard(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response(streamed=True)))
        (run,) = gateway.of(Run)
        await gateway.ask(Told(run=run.run, events=b"said"))
        quit_, answer = await gateway.ask(about(2, "halt"))
        assert quit_ == Quit(run=run.run)
        assert (answer.responses[0].status, answer.responses[0].events) == ("cancelled", b"said")
        await gateway.ask(Ran(run=run.run, status="completed"))
        await gateway.ask(Told(run=run.run, events=b"late"))
        assert await house.status() == "cancelled"
        (again,) = await gateway.ask(about(3, "halt"))
        assert again.responses == answer.responses

    house.during(script)


def test_dropping_what_waits_or_runs_ends_it(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response()))
        assert await gateway.ask(about(2, "drop")) == [
            Quit(run=gateway.of(Run)[0].run),
            Shelved(number=2),
        ]
        assert await house.status() is None

    house.during(script)


def test_an_end_that_finds_the_disk_full_is_written_when_there_is_room(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response()))
        house.store.full = True
        await gateway.ask(Ran(run=gateway.of(Run)[0].run, status="completed", body=b"x"))
        assert await house.status() == "in_progress"
        house.store.full = False
        await anyio.sleep(2)
        assert await house.status() == "completed"
        assert [event.code for event in house.around.board.take_events()] == ["storage_full"]

    house.during(script)
