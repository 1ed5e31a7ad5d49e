"""From what should run to what runs."""

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName
from littoral.node.converge import Converger, plan

names = st.sampled_from(["a", "b", "c", "d"])


def assignment(name: str, revision: int) -> Assignment:
    return Assignment(
        name=DeploymentName(name), revision=revision, serves=name, engine="fake", model=name
    )


@given(st.dictionaries(names, st.integers(1, 3)), st.dictionaries(names, st.integers(1, 3)))
def test_carrying_out_a_plan_gives_what_is_desired(desired, running) -> None:
    wanted = [assignment(name, revision) for name, revision in desired.items()]
    found = plan(wanted, running)
    after = {name: revision for name, revision in running.items() if name not in found.stop}
    after |= {each.name: each.revision for each in (*found.start, *found.replace)}
    assert after == desired
    again = plan(wanted, after)
    assert (again.start, again.stop, again.replace) == ((), (), ())


def test_small_models_start_first(assign) -> None:
    found = plan([assign("big", size=300), assign("none"), assign("small", size=10)], {})
    assert [each.name for each in found.start] == ["none", "small", "big"]


def test_what_is_wanted_runs_and_what_is_not_stops(around, assign) -> None:
    async def script(converger: Converger) -> None:
        converger.want([assign("a"), assign("b")])
        await anyio.sleep(2)
        assert set(around.endpoints()) == {"a@1", "b@1"}
        converger.want([assign("b")])
        await anyio.sleep(2)
        assert set(around.endpoints()) == {"b@1"}
        assert len(around.driver.started) == 2

    around.converging(script)
    assert around.driver.live == []


def test_a_new_revision_serves_before_the_old_one_ends(around, assign) -> None:
    around.driver.takes_s = 20.0

    async def script(converger: Converger) -> None:
        converger.want([assign()])
        await anyio.sleep(21)
        converger.want([assign(revision=2)])
        await anyio.sleep(10)
        states = {name: each.state for name, each in around.endpoints().items()}
        assert states == {"chat@1": "ready", "chat@2": "starting"}
        await anyio.sleep(11)
        states = {name: each.state for name, each in around.endpoints().items()}
        assert states == {"chat@2": "ready"}
        assert around.pids == {"engine:chat@2": 1001}

    around.converging(script)


def test_an_old_engine_ends_only_when_its_requests_have(around, assign) -> None:
    over = anyio.Event()

    async def busy(_endpoint: str) -> None:
        await over.wait()

    async def script(converger: Converger) -> None:
        converger.want([assign()])
        await anyio.sleep(2)
        converger.want([])
        await anyio.sleep(5)
        assert around.endpoints()["chat@1"].state == "draining"
        assert len(around.driver.live) == 1
        over.set()
        await anyio.sleep(0.1)
        assert around.driver.live == []

    around.converging(script, busy)


def test_requests_that_do_not_end_do_not_keep_an_engine_for_ever(around, assign) -> None:
    async def busy(_endpoint: str) -> None:
        await anyio.sleep_forever()

    async def script(converger: Converger) -> None:
        converger.want([assign()])
        await anyio.sleep(2)
        converger.want([])
        await anyio.sleep(11)
        assert around.driver.live == []

    around.converging(script, busy)


def test_a_revision_that_cannot_run_leaves_the_old_one_serving(around, assign) -> None:
    async def script(converger: Converger) -> None:
        converger.want([assign()])
        await anyio.sleep(2)
        around.driver.refuses = "no such option"
        converger.want([assign(revision=2)])
        await anyio.sleep(600)
        states = {name: each.state for name, each in around.endpoints().items()}
        assert states == {"chat@1": "ready", "chat@2": "failed"}
        around.driver.refuses = None
        converger.want([assign(revision=3)])
        await anyio.sleep(10)
        states = {name: each.state for name, each in around.endpoints().items()}
        assert states == {"chat@3": "ready"}

    around.converging(script)
    assert around.driver.live == []


def test_without_room_for_both_the_old_one_goes_first(around, assign) -> None:
    old, new = assign(size=3 << 30), assign(revision=2, size=(3 << 30) + 1)
    for each in (old, new):
        around.blobs[each.artefact.digest] = "/blobs/x"

    async def script(converger: Converger) -> None:
        around.machine = type(around.machine)(cores=2, memory=5 << 30, memory_free=5 << 30)
        converger.want([old])
        await anyio.sleep(2)
        assert around.endpoints()["chat@1"].state == "ready"
        converger.want([new])
        await anyio.sleep(5)
        states = {name: each.state for name, each in around.endpoints().items()}
        assert states == {"chat@2": "ready"}
        assert len(around.driver.live) == 1

    around.converging(script)
