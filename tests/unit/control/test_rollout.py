"""A changed deployment reaches requests step by step, and is undone where it is worse."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from littoral.control.rollouts import EntropyChance
from littoral.control.staging import followed, share_of, staged
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.ids import NodeId
from littoral.domain.rollout import NEXT, RolloutSpec
from littoral.domain.units import Micros
from littoral.testing.usage import usage_record

NODE = NodeId("nd_1")
BOUNDS = RolloutSpec(steps=(10, 100), minutes=1, requests=30)
OLD = DeploymentSpec(engine="fake", model="one", rollout=BOUNDS)
NEW = replace(OLD, model="two")


def now(spec: DeploymentSpec, kept, at: int = 0):
    return followed(kept, spec, now_us=Micros(at))


def names(spec: DeploymentSpec, kept, node: NodeId = NODE) -> list[tuple[str, str, float | None]]:
    return [
        (each.name, each.spec.model, each.share) for each in staged("chat", spec, kept, node=node)
    ]


def test_what_is_declared_first_serves_at_once():
    assert names(OLD, None) == [("chat", "one", None)]
    assert now(OLD, None).stable == OLD


def test_a_change_runs_beside_the_old_version_with_the_first_step_s_share():
    kept = now(OLD, None)
    assert names(NEW, kept) == [("chat", "one", None), ("chat.next", "two", 0.1)]
    begun = now(NEW, kept, at=5)
    assert (begun.state, begun.since_us) == ("running", 5)
    assert now(NEW, begun, at=9) == begun
    assert names(NEW, replace(begun, step=1))[1] == ("chat.next", "two", 1.0)


def test_a_change_without_bounds_serves_at_once():
    bare = replace(NEW, rollout=None)
    assert names(bare, now(OLD, None)) == [("chat", "two", None)]


def test_a_change_of_bounds_alone_is_no_rollout():
    other = replace(OLD, rollout=RolloutSpec())
    assert now(other, now(OLD, None)).state == "settled"


def test_bounds_may_change_while_it_runs():
    begun = now(NEW, now(OLD, None))
    other = replace(NEW, rollout=replace(BOUNDS, minutes=5))
    assert now(other, begun) == replace(begun, wanted=other)


def test_what_was_undone_stays_undone_until_something_else_is_declared():
    undone = replace(now(NEW, now(OLD, None)), state="undone")
    assert names(NEW, undone) == [("chat", "one", None)]
    assert share_of(undone) == 0.0
    third = replace(NEW, model="three")
    assert names(third, undone) == [("chat", "one", None), ("chat.next", "three", 0.1)]


def test_going_back_to_the_old_version_ends_a_rollout():
    begun = now(NEW, now(OLD, None))
    assert names(OLD, begun) == [("chat", "one", None)]
    assert now(OLD, begun).wanted is None


def test_only_a_share_of_nodes_tries_it_before_the_last_step():
    few = replace(NEW, rollout=replace(BOUNDS, nodes=0.3))
    begun = now(few, now(OLD, None))
    trying = [len(names(few, begun, NodeId(f"nd_{at}"))) == 2 for at in range(200)]
    assert 30 < sum(trying) < 90
    last = replace(begun, step=1)
    assert all(len(names(few, last, NodeId(f"nd_{at}"))) == 2 for at in range(20))


class Fleet:
    """Control with a deployment that changes, and requests to both versions."""

    def __init__(self, site, given) -> None:
        self.site, self.given = site, given
        self.apply("one")

    def apply(self, model: str) -> None:
        bounds = {"steps": [10, 100], "minutes": 1, "requests": 30}
        chat = self.given.document("Deployment", "chat", engine="fake", model=model, rollout=bounds)
        answer = self.site.apply(chat)
        assert answer.status_code == 200, answer.text
        self.look()

    @property
    def rollouts(self):
        return self.site.control.desk.rollouts

    def look(self) -> None:
        anyio.run(self.rollouts.look)

    def view(self):
        return anyio.run(self.rollouts.views)[0]

    def serve(
        self,
        deployment: str,
        *,
        count: int = 100,
        slower: int = 1,
        failed: int = 0,
        apart_us: int = 0,
    ) -> None:
        self.rollouts.take(
            usage_record(
                10 + at,
                deployment=deployment,
                status="failed" if at < failed else "ok",
                first_us=slower * 100_000 + apart_us * at,
                total_us=slower * (1_000_000 + 100_000 * at),
            )
            for at in range(count)
        )

    def models(self) -> list[str]:
        snapshot = self.site.control.desk.publisher.compile(NODE)
        return [each.model for each in snapshot.assignments]


@pytest.fixture
def fleet(site, given) -> Fleet:
    return Fleet(site, given)


def test_a_good_version_is_promoted_after_its_time_and_its_requests(fleet):
    fleet.apply("two")
    assert fleet.models() == ["one", "two"]
    fleet.serve("chat")
    fleet.serve("chat" + NEXT)
    fleet.look()
    assert fleet.view().percent == 10
    fleet.site.clock.advance(61)
    fleet.look()
    assert fleet.view().percent == 100
    fleet.serve("chat" + NEXT)
    fleet.site.clock.advance(61)
    fleet.look()
    view = fleet.view()
    assert (view.state, view.old, view.new) == ("settled", "two", "two")
    assert fleet.models() == ["two"]
    codes = [item.event.code for item in fleet.site.parts.events.after(0)]
    assert codes[-2:] == ["rollout_step", "rollout_promoted"]


@pytest.mark.parametrize("worse", [{"slower": 2}, {"failed": 60}])
def test_a_worse_version_is_undone_by_itself_and_people_hear_why(fleet, worse):
    fleet.apply("two")
    fleet.serve("chat")
    fleet.serve("chat" + NEXT, **worse)
    fleet.look()
    assert fleet.view().state == "undone"
    assert fleet.models() == ["one"]
    (event,) = [i.event for i in fleet.site.parts.events.after(0) if i.event.code == "rolled_back"]
    assert event.level == "error"
    fleet.look()
    assert fleet.models() == ["one"]


def test_a_version_that_crashes_is_undone_without_a_request(fleet, given):
    fleet.apply("two")
    fleet.site.join(endpoints=[given.endpoint("chat" + NEXT, "degraded", reason="crashed 5 times")])
    fleet.look()
    assert fleet.view().why == "undone: nd_1: crashed 5 times"
    assert fleet.models() == ["one"]


def test_looking_again_at_the_same_requests_says_the_same_and_tells_nobody(fleet):
    """Each verdict draws resamples: asked often enough, chance would pass what is on the edge."""
    fleet.apply("two")
    fleet.serve("chat", count=40, apart_us=9_000)
    fleet.serve("chat" + NEXT, count=40, apart_us=9_000)
    fleet.look()
    why, written = fleet.view().why, fleet.site.control.desk.state.revision()
    assert "p90" in why
    for _ in range(20):
        fleet.look()
    assert fleet.view().why == why
    fleet.serve("chat" + NEXT, count=40, apart_us=9_500)
    fleet.look()
    assert fleet.view().why != why
    assert fleet.site.control.desk.state.revision() == written


def test_the_verdict_is_a_place_where_tests_can_stop_it(fleet):
    fleet.apply("two")
    assert fleet.site.failpoints.passes["canary.verdict"] == 1


def test_requests_that_callers_gave_up_count_for_nothing(fleet):
    fleet.apply("two")
    fleet.rollouts.take([usage_record(1, deployment="chat" + NEXT, status="cancelled")])
    assert fleet.view().requests == 0


ACTS: dict[str, tuple[str, list[str]]] = {
    "pause": ("paused", ["one", "two"]),
    "undo": ("undone", ["one"]),
    "promote": ("settled", ["two"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_operator_pauses_undoes_and_promotes(fleet, act):
    fleet.apply("two")
    answer = fleet.site.call("POST", "/rollouts/chat", json={"act": act})
    assert answer.json()["state"] == ACTS[act][0]
    assert fleet.models() == ACTS[act][1]


def test_a_paused_rollout_is_not_judged_until_it_is_resumed(fleet):
    fleet.apply("two")
    fleet.site.call("POST", "/rollouts/chat", json={"act": "pause"})
    fleet.serve("chat" + NEXT, failed=100)
    fleet.look()
    assert fleet.view().state == "paused"
    fleet.site.call("POST", "/rollouts/chat", json={"act": "resume"})
    fleet.look()
    assert fleet.view().state == "undone"


def test_what_an_operator_decides_while_rollouts_are_judged_is_not_lost(site, given):
    bounds = {"steps": [10, 100], "minutes": 0, "requests": 30}
    fleet = Fleet(site, given)
    for model in ("one", "two"):
        for name in ("chat", "other"):
            deployment = given.document(
                "Deployment", name, engine="fake", model=model, rollout=bounds
            )
            assert site.apply(deployment).status_code == 200
        fleet.look()
    for name in ("chat", "other"):
        fleet.serve(name)
        fleet.serve(name + NEXT)

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(fleet.rollouts.look)
            group.start_soon(fleet.rollouts.act, "other", "undo")

    anyio.run(both)
    states = {view.deployment: view.state for view in anyio.run(fleet.rollouts.views)}
    assert states == {"chat": "running", "other": "undone"}


def test_what_is_not_under_way_cannot_be_undone(fleet):
    answer = fleet.site.call("POST", "/rollouts/chat", json={"act": "undo"})
    assert answer.status_code == 409
    answer = fleet.site.call("POST", "/rollouts/nothing", json={"act": "undo"})
    assert answer.status_code == 404
    assert "known: chat" in answer.text


def test_scores_of_golden_items_come_in_pairs(fleet):
    fleet.apply("two")
    good = fleet.site.call("POST", "/rollouts/chat/scores", json={"old": [1, 1], "new": [1, 0.5]})
    assert good.json()["scored"] == 2
    odd = fleet.site.call("POST", "/rollouts/chat/scores", json={"old": [1], "new": [1, 1]})
    assert odd.status_code == 400
    far = fleet.site.call("POST", "/rollouts/chat/scores", json={"old": [2], "new": [1]})
    assert far.status_code == 400


def test_a_new_version_of_the_model_begins_a_rollout_and_the_old_one_stays(site, given):
    source = {"source": "pypi:smol==1", "sha256": "a" * 64}
    chat = given.document("Deployment", "chat", model="smol", rollout={"steps": [50, 100]})
    site.obtainer.put("smol", "1", phase="ready", artefact=given.artefact("a"))
    site.obtainer.put("smol", "2", phase="ready", artefact=given.artefact("b"))
    one = given.document("Model", "smol", versions=[{"name": "1", **source}])
    assert site.apply(one, chat).status_code == 200
    anyio.run(site.control.desk.rollouts.look)
    both = [{"name": "1", **source}, {"name": "2", **source, "parent": "1"}]
    assert site.apply(given.document("Model", "smol", versions=both)).status_code == 200
    anyio.run(site.control.desk.rollouts.look)
    snapshot = site.control.desk.publisher.compile(NODE)
    assert [each.model for each in snapshot.assignments] == ["smol@1", "smol@2"]


def test_the_list_is_of_deployments_with_bounds(fleet):
    (item,) = fleet.site.call("GET", "/rollouts").json()["items"]
    assert (item["deployment"], item["state"]) == ("chat", "settled")


def test_a_deployment_that_is_deleted_is_forgotten(fleet):
    fleet.site.call("DELETE", "/resources/Deployment/chat")
    fleet.look()
    assert fleet.site.state.values("rollout/") == {}


BAD: dict[str, dict[str, object]] = {
    "no steps": {"steps": []},
    "falling steps": {"steps": [50, 25, 100]},
    "no last step": {"steps": [50]},
    "a zero": {"steps": [0, 100]},
    "minutes": {"minutes": -1},
    "requests": {"requests": 1},
}


@pytest.mark.parametrize("bad", BAD)
def test_bounds_that_make_no_sense_are_refused(site, given, bad):
    chat = given.document("Deployment", "chat", engine="fake", model="m", rollout=BAD[bad])
    assert site.apply(chat).status_code == 400


def test_chance_is_drawn_from_unpredictable_bytes():
    class Most:
        bytes: Callable[[int], bytes] = staticmethod(lambda count: b"\xff" * count)

    assert 0.99 < EntropyChance(Most()).random() < 1.0
