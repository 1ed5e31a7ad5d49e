"""Golden items are checked when they are declared, told to nodes, and their scores judged."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from littoral.control.staging import exam_of, followed, run_of
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.ids import DeploymentName, NodeId
from littoral.domain.rollout import NEXT, ExamScores, GoldenItem, RolloutSpec
from littoral.domain.units import Micros
from littoral.testing.usage import usage_record

NODE = NodeId("nd_1")
ITEM = {"prompt": "2 + 2?", "expect": "4"}
TURN = {"content": "2 + 2?"}


def declared(given, items: Any, *, model: str = "one", **spec: Any):
    bounds = {"steps": [10, 100], "minutes": 0, "requests": 30, "items": items}
    spec = {"engine": "fake", "model": model, "rollout": bounds, **spec}
    return given.document("Deployment", "chat", **spec)


BAD: dict[str, tuple[Any, str]] = {
    "nothing asked": ({"expect": "4"}, "items[1]: give one of prompt and messages"),
    "asked twice": ({**ITEM, "messages": [TURN]}, "items[1]: give one of"),
    "too many messages": (
        {"messages": [TURN] * 33, "expect": "4"},
        "items[1].messages: at most 32",
    ),
    "answered already": (
        {"messages": [{"role": "assistant", "content": "4"}], "expect": "4"},
        "the last one must be of role user",
    ),
    "nothing expected": ({"prompt": "?", "expect": " "}, "items[1].expect: give the answer"),
    "no choice": ({"prompt": "?", "expect": "yes", "check": "choice"}, "one letter from A to Z"),
    "no such check": ({**ITEM, "check": "close"}, "check"),
    "no tokens": ({**ITEM, "max_tokens": 0}, "items[1].max_tokens: 0 is not within 1 to 256"),
    "too long": ({"prompt": "é" * 4096, "expect": "4"}, "8193 bytes; at most 8192"),
}


@pytest.mark.parametrize("bad", BAD)
def test_an_item_that_cannot_be_asked_or_judged_is_refused_and_named(site, given, bad):
    answer = site.apply(declared(given, [ITEM, BAD[bad][0]]))
    assert answer.status_code == 400
    assert BAD[bad][1] in answer.text


def test_items_are_bounded_in_number_and_together(site, given):
    many = site.apply(declared(given, [ITEM] * 201))
    assert "201 items; at most 200" in many.text
    long = site.apply(declared(given, [{"prompt": "x" * 8000, "expect": "4"}] * 17))
    assert "bytes together; at most 131072" in long.text
    assert site.apply(declared(given, [ITEM] * 200)).status_code == 200


def test_only_engines_of_a_node_that_answer_in_words_are_asked(site, given):
    answer = site.apply(declared(given, [ITEM], engine="embed", model="m"))
    assert "only engines llama_cpp, openvino, fake are asked, not embed" in answer.text


class Fleet:
    """Control with a deployment that changes, and four golden items."""

    def __init__(self, site, given) -> None:
        self.site, self.given = site, given
        for model in ("one", "two"):
            self.apply([ITEM] * 4, model)
        self.rollouts = site.control.desk.rollouts

    def apply(self, items: list[Any], model: str = "two") -> None:
        assert self.site.apply(declared(self.given, items, model=model)).status_code == 200
        self.look()

    def look(self) -> None:
        anyio.run(self.site.control.desk.rollouts.look)

    @property
    def snapshot(self):
        return self.site.control.desk.publisher.compile(NODE)

    @property
    def exam(self):
        (exam,) = self.snapshot.exams
        return exam

    def score(self, *new: float, run: str = "", old: tuple[float, ...] | None = None) -> None:
        told = ExamScores(
            deployment=DeploymentName("chat"),
            run=run or self.exam.run,
            old=(1.0,) * len(new) if old is None else old,
            new=new,
        )
        anyio.run(self.rollouts.ran, NODE, told)

    def serve(self) -> None:
        for name in ("chat", "chat" + NEXT):
            self.rollouts.take(
                usage_record(
                    10 + at, deployment=name, first_us=100_000, total_us=1_000_000 + 100_000 * at
                )
                for at in range(100)
            )

    def view(self):
        return anyio.run(self.rollouts.views)[0]


@pytest.fixture
def fleet(site, given) -> Fleet:
    return Fleet(site, given)


def test_a_node_that_runs_both_versions_is_told_the_items_until_they_are_scored(fleet):
    before = fleet.snapshot
    assert (fleet.exam.deployment, len(fleet.exam.items)) == ("chat", 4)
    fleet.score(1, 1)
    assert len(fleet.exam.items) == 4
    fleet.score(1, 1, 1, 1)
    after = fleet.snapshot
    assert after.exams == ()
    assert after.assignments == before.assignments  # so no engine is started anew
    assert after.version > before.version


def test_a_step_waits_for_the_items_and_is_passed_with_them(fleet):
    fleet.serve()
    fleet.look()
    assert (fleet.view().percent, fleet.view().scored, fleet.view().golden) == (10, 0, 4)
    fleet.score(1, 1, 1, 1)
    fleet.look()
    assert (fleet.view().percent, fleet.view().scored) == (100, 4)


def test_a_version_that_answers_worse_is_undone(fleet):
    fleet.score(0, 0, 0, 0)
    fleet.look()
    assert fleet.view().state == "undone"
    assert "quality: worse by 100.0" in fleet.view().why
    assert fleet.snapshot.exams == ()


def test_scores_told_again_count_once_and_of_two_nodes_the_longer_ones(fleet):
    fleet.score(1, 1, 0)
    fleet.score(1, 1, 0)
    fleet.score(1)
    assert fleet.view().scored == 3


def test_posted_scores_count_beside_those_of_a_node(fleet):
    fleet.score(1, 1)
    posted = fleet.site.call("POST", "/rollouts/chat/scores", json={"old": [1], "new": [1]})
    assert posted.json()["scored"] == 3


def test_scores_of_another_run_or_of_nothing_known_are_left_aside(fleet):
    fleet.score(1, 1, run="other")
    told = ExamScores(deployment=DeploymentName("none"), run="x", old=(), new=())
    anyio.run(fleet.rollouts.ran, NODE, told)
    assert fleet.view().scored == 0


@pytest.mark.parametrize("new", [(2.0,), (float("nan"),), (1.0, 1.0)])
def test_scores_that_cannot_be_are_refused_and_people_hear_of_it(fleet, new):
    fleet.score(*new, old=(1.0,))
    assert fleet.view().scored == 0
    last = [each.event for each in fleet.site.parts.events.after(0)][-1]
    assert (last.code, last.level) == ("rollout_scores_refused", "warning")
    assert NODE in last.message


def test_more_scores_than_items_are_cut(fleet):
    fleet.score(*[1.0] * 9)
    assert fleet.view().scored == 4


def test_other_items_make_another_run_and_other_bounds_do_not(fleet):
    run = fleet.exam.run
    fleet.score(1, 1)
    fleet.apply([ITEM] * 5)
    assert fleet.exam.run != run
    assert fleet.view().scored == 0


def test_bounds_change_without_a_new_run():
    items = (GoldenItem(prompt="?", expect="4"),)
    old = DeploymentSpec(engine="fake", model="one", rollout=RolloutSpec(items=items))
    stable = followed(None, old, now_us=Micros(0))
    begun = followed(stable, replace(old, model="two"), now_us=Micros(1))
    scored = replace(begun, run=(0.0,))
    other = replace(old, model="two", rollout=RolloutSpec(items=items, minutes=1))
    after = followed(scored, other, now_us=Micros(2))
    assert (after.run, run_of(after)) == ((0.0,), run_of(begun))
    assert exam_of("chat", after) is None
