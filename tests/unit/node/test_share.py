"""Shares of projects: of room by weight, of turns by what runs."""

from collections import Counter
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import LimitReached, StorageFull
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.response import StoredResponse
from littoral.domain.session import Keep, Ran, Run
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Bytes, Micros
from littoral.node.background import Bounds
from littoral.node.share import LEAST, next_project, part_of, weights_of
from littoral.node.shelf import Shelf
from littoral.testing.loop import simulate
from littoral.testing.responses import MemoryResponses

A, B, C = map(ProjectId, "abc")


def test_every_project_with_a_key_has_a_weight():
    assert weights_of(snapshot(3.0)) == {A: 1.0, B: 3.0}
    assert weights_of(None) == {}


@pytest.mark.parametrize(
    ("weights", "part"),
    [({}, 1.0), ({A: 2.0}, 1.0), ({A: 1.0, B: 1.0}, 0.5), ({A: 3.0, B: 1.0}, 0.75),
     ({A: 1.0, B: 9.0}, LEAST), ({B: 1.0}, 0.5)],
)  # fmt: skip
def test_a_project_may_have_what_its_weight_says_or_a_quarter(weights, part):
    assert part_of(A, weights) == pytest.approx(part)


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0]), min_size=1, max_size=5))
def test_places_are_given_by_weight_while_everybody_waits(each):
    weights = {ProjectId(str(at)): weight for at, weight in enumerate(each)}
    running, turns = Counter(), {}
    for turn in range(60):
        project = next_project(weights, running=running, weights=weights, turns=turns)
        running[project] += 1
        turns[project] = turn
    for project, weight in weights.items():
        assert abs(running[project] - 60 * weight / sum(each)) <= len(each)


def test_who_runs_nothing_takes_turns_also_where_there_is_one_place():
    turns, order = {}, []
    for turn in range(6):
        order.append(next_project((A, B, C), running={}, weights={}, turns=turns))
        turns[order[-1]] = turn
    assert order == [A, B, C, A, B, C]
    assert next_project((), running={}, weights={}, turns={}) is None


class Outlet:
    """A gateway that keeps what it is told."""

    def __init__(self):
        self.told = []

    def post(self, frame):
        self.told.append(frame)

    def runs(self):
        return [each for each in self.told if isinstance(each, Run)]


def response(name, project, **fields):
    given = {
        "id": name,
        "project": project,
        "key": KeyId("k"),
        "created_us": Micros(1),
        "expires_us": Micros(4_000_000_000_000_000),
        "status": "queued",
        "background": True,
    }
    return StoredResponse(**{**given, **fields})


def snapshot(weight=1.0):
    keys = tuple(KeyGrant(id=KeyId(p), project=p, mac=b"", scopes=("infer",)) for p in (A, B))
    return Snapshot(
        epoch=1, version=1, issued_us=Micros(1), node=NodeId("n"), pepper=b"", keys=keys,
        assignments=(), limits={},
        traffic=(TrafficGrant(project=B, weight=weight), TrafficGrant(project=C)),
    )  # fmt: skip


def played(around, script, *, most=4000, weight=1.0, **bounds):
    """Run a script with a shelf that has bounds, and one gateway."""
    around.board.put_snapshot(snapshot(weight))
    store = MemoryResponses(around.clock, most=Bytes(most))
    shelf = Shelf(
        store,
        clock=around.clock,
        board=around.board,
        deferrals=around.deferrals(),
        bounds=Bounds(**bounds),
    )
    outlet = Outlet()

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(shelf.run)
            await anyio.sleep(0.01)
            shelf.background.join(outlet)
            await script(shelf, outlet)
            group.cancel_scope.cancel()

    simulate(main)


async def keep(shelf, outlet, *responses):
    for each in responses:
        await shelf.answer(Keep(number=1, response=each), outlet)
    await anyio.sleep(0.01)


@pytest.mark.parametrize(("weight", "theirs"), [(1.0, 2), (3.0, 3)])
def test_a_project_that_asks_first_does_not_keep_the_others_waiting(around, weight, theirs):
    async def script(shelf, outlet):
        await keep(shelf, outlet, *(response(f"a{n}", A) for n in range(8)))
        await keep(shelf, outlet, *(response(f"b{n}", B) for n in range(8)))
        assert [run.response.project for run in outlet.runs()] == [A] * 4
        for run in outlet.runs():
            shelf.background.end(Ran(run=run.run, status="completed"))
        await anyio.sleep(0.01)
        then = [run.response.project for run in outlet.runs()[4:]]
        assert (len(then), then.count(B)) == (4, theirs)

    played(around, script, most=100_000, weight=weight, running=4)


def test_a_project_that_has_its_share_waiting_is_told_and_the_others_may_wait(around):
    async def script(shelf, outlet):
        await keep(shelf, outlet, response("a0", A), response("a1", A))
        with pytest.raises(LimitReached, match="2 responses of project 'a' wait"):
            await keep(shelf, outlet, response("a2", A))
        await keep(shelf, outlet, response("b0", B))

    played(around, script, running=0, waiting=4)


def test_a_project_that_stores_its_share_is_told_and_the_others_may_store(around):
    done = response("a0", A, status="completed", background=False, body=b"x" * 1500)

    async def script(shelf, outlet):
        await keep(shelf, outlet, done)
        with pytest.raises(StorageFull, match="project 'a' stores 1758 bytes of responses and may"):
            await keep(shelf, outlet, replace(done, id="a1"))
        await keep(shelf, outlet, replace(done, id="b0", project=B))

    played(around, script)
