"""Stored responses at the node: shown to every gateway, run by one, at least once."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.response import StoredResponse
from littoral.domain.session import (
    Heard,
    Keep,
    Leave,
    Look,
    Quit,
    Ran,
    Run,
    Shelved,
    Told,
)
from littoral.domain.units import Micros, Seconds
from littoral.node import background
from littoral.node.background import Bounds
from littoral.node.shelf import Link, Shelf
from littoral.testing.channel import channel_pair
from littoral.testing.loop import simulate
from littoral.testing.responses import MemoryResponses

HOME = ProjectId("home")


def response(name="resp_1", **fields) -> StoredResponse:
    given = {
        "id": name,
        "project": HOME,
        "key": KeyId("k"),
        "created_us": Micros(1),
        "expires_us": Micros(4_000_000_000_000_000),
        "status": "queued",
        "background": True,
        "asked": b"{}",
        "body": b"{}",
    }
    return StoredResponse(**{**given, **fields})


def about(number, act) -> Look:
    return Look(number=number, project=HOME, response="resp_1", act=act)


class Gateway:
    """The far end of a link."""

    def __init__(self, shelf: Shelf) -> None:
        self.near, self.far = channel_pair()
        self.link = Link(shelf, self.near)
        self.heard = []
        self.scope = anyio.CancelScope()

    async def live(self) -> None:
        try:
            with self.scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self.link.run)
                    while True:
                        self.heard.append(await self.far.receive())
        finally:
            await self.near.close()
            await self.far.close()

    async def ask(self, frame):
        """Ask, and return what the node answers in a moment."""
        count = len(self.heard)
        self.link.take(frame)
        await anyio.sleep(0.01)
        return self.heard[count:]

    def of(self, kind):
        return [each for each in self.heard if isinstance(each, kind)]

    def dies(self) -> None:
        self.scope.cancel()


class House:
    """A shelf and its gateways."""

    def __init__(self, around) -> None:
        self.around = around
        self.store = MemoryResponses(around.clock)
        self.group = None
        self.bound()

    def bound(self, **bounds) -> None:
        clock, board = self.around.clock, self.around.board
        deferrals, most = self.around.deferrals(), Bounds(**bounds)
        self.shelf = Shelf(self.store, clock=clock, board=board, deferrals=deferrals, bounds=most)

    def gateway(self) -> Gateway:
        gateway = Gateway(self.shelf)
        self.group.start_soon(gateway.live)
        return gateway

    async def status(self, name="resp_1"):
        found = await self.store.get(HOME, name)
        return None if found is None else found.status

    def during(self, script) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                self.group = group
                group.start_soon(self.shelf.run)
                await anyio.sleep(0.01)
                await script()
                group.cancel_scope.cancel()

        simulate(main)


@pytest.fixture
def house(around) -> House:
    return House(around)


def test_what_one_gateway_keeps_another_shows(house) -> None:
    done = response(status="completed", background=False)

    async def script() -> None:
        one, other = house.gateway(), house.gateway()
        assert await one.ask(Keep(number=1, response=done)) == [Shelved(number=1)]
        shown = await other.ask(Look(number=7, project=HOME, response="resp_1"))
        assert shown == [Shelved(number=7, responses=(done,))]
        more = replace(done, id="resp_2", previous="resp_1")
        await other.ask(Keep(number=8, response=more))
        (thread,) = await one.ask(Look(number=2, project=HOME, response="resp_2", act="thread"))
        assert [each.id for each in thread.responses] == ["resp_1", "resp_2"]

    house.during(script)


def test_what_is_not_there_is_a_404_for_every_question(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response(project=ProjectId("away"))))
        for act in ("show", "thread", "drop", "halt", "follow"):
            (answer,) = await gateway.ask(about(2, act))
            assert (answer.status, answer.code) == (404, "not_found")

    house.during(script)


def test_a_full_disk_is_told_and_nothing_runs(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        house.store.full = True
        (answer,) = await gateway.ask(Keep(number=1, response=response()))
        assert (answer.status, answer.code) == (507, "storage_full")
        assert not gateway.of(Run)

    house.during(script)


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


def test_only_what_runs_in_the_background_can_be_cancelled(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        done = response(status="completed", background=False)
        await gateway.ask(Keep(number=1, response=done))
        (answer,) = await gateway.ask(about(2, "halt"))
        assert (answer.status, answer.code) == (400, "invalid_request")

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


def test_a_follower_hears_what_was_and_what_will_be_said_and_the_end(house) -> None:
    async def script() -> None:
        runner, other = house.gateway(), house.gateway()
        await anyio.sleep(0.01)
        await runner.ask(Keep(number=1, response=response(streamed=True)))
        runner, other = (runner, other) if runner.of(Run) else (other, runner)
        run = runner.of(Run)[0].run
        await runner.ask(Told(run=run, events=b"a"))
        shown, first = await other.ask(about(5, "follow"))
        assert (shown.responses[0].status, first) == ("in_progress", Heard(number=5, events=b"a"))
        await runner.ask(Told(run=run, events=b"b"))
        await runner.ask(Ran(run=run, status="completed", body=b"whole"))
        assert other.of(Heard)[1:] == [
            Heard(number=5, events=b"b"),
            Heard(number=5, events=b"", ended=True),
        ]
        _, all_ = await runner.ask(about(6, "follow"))
        assert all_ == Heard(number=6, events=b"ab", ended=True)

    house.during(script)


def test_who_left_hears_no_more(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        await gateway.ask(Keep(number=1, response=response(streamed=True)))
        await gateway.ask(about(5, "follow"))
        await gateway.ask(Leave(number=5))
        await gateway.ask(Told(run=gateway.of(Run)[0].run, events=b"a"))
        assert not gateway.of(Heard)

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


def test_what_is_over_is_swept(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        over = Micros(house.around.clock.wall() + 10)
        await gateway.ask(Keep(number=1, response=response(status="completed", expires_us=over)))
        await anyio.sleep(1.0)
        await anyio.sleep(61)
        assert await house.store.sweep() == 0

    house.during(script)
