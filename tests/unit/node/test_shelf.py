"""Stored responses at the node: every gateway shows what one keeps."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.ids import ProjectId
from littoral.domain.session import Heard, Keep, Leave, Look, Ran, Run, Shelved, Told
from littoral.domain.units import Micros
from shelves import HOME, House, about, response


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


def test_only_what_runs_in_the_background_can_be_cancelled(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        done = response(status="completed", background=False)
        await gateway.ask(Keep(number=1, response=done))
        (answer,) = await gateway.ask(about(2, "halt"))
        assert (answer.status, answer.code) == (400, "invalid_request")

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


def test_what_is_over_is_swept(house) -> None:
    async def script() -> None:
        gateway = house.gateway()
        over = Micros(house.around.clock.wall() + 10)
        await gateway.ask(Keep(number=1, response=response(status="completed", expires_us=over)))
        await anyio.sleep(1.0)
        await anyio.sleep(61)
        assert await house.store.sweep() == 0

    house.during(script)
