"""One engine under supervision, on virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from littoral.domain.units import Bytes
from littoral.node.engine import BREAK, Supervised
from littoral.testing.loop import simulate


def during(supervised: Supervised, script: Callable[[], Awaitable[None]]) -> None:
    """Run the supervision while ``script`` does and looks."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(supervised.run)
            await script()
            group.cancel_scope.cancel()

    simulate(main)


def test_an_engine_is_starting_then_ready_and_its_pid_is_told(around, assign) -> None:
    supervised = Supervised(assign(), around.parts())

    async def script() -> None:
        await anyio.sleep(0.5)
        assert around.endpoints()["chat@1"].state == "starting"
        await anyio.sleep(1)
        endpoint = around.endpoints()["chat@1"]
        assert (endpoint.state, endpoint.reason) == ("ready", "")
        assert around.pids == {"engine:chat@1": 1000}

    during(supervised, script)
    assert around.sink.codes() == ["engine_ready"]
    assert around.driver.live == []
    assert around.endpoints() == {}
    assert around.pids == {}


def test_a_crash_is_told_at_once_and_the_engine_comes_back(around, assign) -> None:
    async def script() -> None:
        await anyio.sleep(2)
        around.driver.started[0].crash()
        await anyio.sleep(0.01)
        endpoint = around.endpoints()["chat@1"]
        assert endpoint.state == "starting"
        assert endpoint.address is None
        assert "killed by signal 9" in endpoint.reason
        await anyio.sleep(3)
        assert around.endpoints()["chat@1"].state == "ready"

    during(Supervised(assign(), around.parts()), script)
    assert around.sink.codes() == ["engine_ready", "engine_crashed", "engine_ready"]


def test_five_crashes_in_five_minutes_open_the_breaker_for_a_while(around, assign) -> None:
    around.driver.fails = lambda: True

    async def script() -> None:
        await anyio.sleep(60)
        endpoint = around.endpoints()["chat@1"]
        assert endpoint.state == "degraded"
        assert "5 times in 5 minutes" in endpoint.reason
        assert "it did not come up" in endpoint.reason
        around.driver.fails = lambda: False
        await anyio.sleep(BREAK)
        assert around.endpoints()["chat@1"].state == "ready"

    during(Supervised(assign(), around.parts()), script)
    assert around.sink.codes() == ["engine_crashed", "engine_degraded", "engine_ready"]


def test_crashes_far_apart_do_not_open_the_breaker(around, assign) -> None:
    async def script() -> None:
        for _ in range(8):
            await anyio.sleep(200)
            assert around.endpoints()["chat@1"].state == "ready"
            around.driver.started[-1].crash()

    during(Supervised(assign(), around.parts()), script)
    assert "engine_degraded" not in around.sink.codes()


def test_an_engine_that_does_not_answer_is_replaced(around, assign) -> None:
    async def script() -> None:
        await anyio.sleep(2)
        around.driver.started[0].well = False
        await anyio.sleep(36)
        assert around.driver.started[0].stopped
        assert around.driver.started[1].well
        assert around.endpoints()["chat@1"].state == "ready"

    during(Supervised(assign(), around.parts()), script)


def test_a_short_silence_is_no_hang(around, assign) -> None:
    async def script() -> None:
        for _ in range(4):
            await anyio.sleep(25)
            around.driver.started[0].well = not around.driver.started[0].well
        assert len(around.driver.started) == 1

    during(Supervised(assign(), around.parts()), script)


def test_what_does_not_fit_is_never_loaded_and_the_advice_is_told(around, assign) -> None:
    async def script() -> None:
        await anyio.sleep(100)
        endpoint = around.endpoints()["chat@1"]
        assert endpoint.state == "failed"
        assert "needs" in endpoint.reason
        assert "smaller model" in endpoint.reason

    supervised = Supervised(assign(size=50 << 30), around.parts())
    during(supervised, script)
    assert around.driver.started == []
    assert supervised.short_of_memory
    assert around.sink.codes() == ["engine_failed"]


def test_what_does_not_fit_now_is_loaded_when_memory_is_free(around, assign) -> None:
    assignment = assign(size=1 << 30)
    around.blobs[assignment.artefact.digest] = "/blobs/x"
    plenty = around.machine
    around.machine = type(plenty)(cores=2, memory=plenty.memory, memory_free=Bytes(1 << 20))

    async def script() -> None:
        await anyio.sleep(10)
        assert around.driver.started == []
        around.machine = plenty
        await anyio.sleep(31)
        spec = around.driver.started[0].spec
        assert spec.artefact_path == "/blobs/x"
        assert spec.threads == 2
        assert spec.assignment.slots == 4
        assert spec.assignment.context == 4096

    during(Supervised(assignment, around.parts()), script)


def test_weights_that_are_not_here_are_named(around, assign) -> None:
    assignment = assign(size=1 << 20)

    async def script() -> None:
        await anyio.sleep(1)
        assert assignment.artefact.digest in around.endpoints()["chat@1"].reason

    during(Supervised(assignment, around.parts()), script)


def test_weights_that_cannot_be_read_concern_their_engine_alone(around, assign) -> None:
    async def broken(_digest: str, _tell: object) -> str:
        raise OSError(5, "Input/output error")

    parts = replace(around.parts(), locate=broken)

    async def script() -> None:
        await anyio.sleep(1)
        endpoint = around.endpoints()["chat@1"]
        assert endpoint.state == "starting"
        assert "Input/output error" in endpoint.reason

    during(Supervised(assign(size=1 << 20), parts), script)


def test_two_engines_that_start_together_are_not_promised_the_same_memory(around, assign) -> None:
    parts = around.parts()
    first, second = assign("one", size=2 << 30), assign("two", size=2 << 30)
    around.blobs[first.artefact.digest] = "/blobs/x"
    around.driver.takes_s = 100.0

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for each in (first, second):
                group.start_soon(Supervised(each, parts).run)
            await anyio.sleep(50)
            states = {name: each.state for name, each in around.endpoints().items()}
            assert states == {"one@1": "starting", "two@1": "failed"}
            group.cancel_scope.cancel()

    simulate(main)


def test_a_wrong_option_is_said_once_and_tried_again_quietly(around, assign) -> None:
    around.driver.refuses = "no option 'x'; known: a"

    async def script() -> None:
        await anyio.sleep(100)
        endpoint = around.endpoints()["chat@1"]
        assert (endpoint.state, endpoint.reason) == ("failed", "no option 'x'; known: a")

    during(Supervised(assign(), around.parts()), script)
    assert around.sink.codes() == ["engine_failed"]


def test_a_draining_engine_stays_draining_whatever_it_does(around, assign) -> None:
    supervised = Supervised(assign(), around.parts())

    async def script() -> None:
        await anyio.sleep(2)
        supervised.drain()
        around.driver.started[0].crash()
        await anyio.sleep(5)
        assert around.endpoints()["chat@1"].state == "draining"

    during(supervised, script)
