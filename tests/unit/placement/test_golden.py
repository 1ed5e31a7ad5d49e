"""An answer to a golden item is right or wrong."""

import pytest

from littoral.domain.rollout import Arm, GoldenItem, RolloutSpec
from littoral.placement.canary import judge
from littoral.placement.golden import lost, score
from littoral.testing.chance import SeededChance

ANSWERS = [
    ("exact", "4", " 4\n", 1.0),
    ("exact", "4", "It is 4", 0.0),
    ("exact", "a b", "a \n b", 1.0),
    ("contains", "Paris", "It is Paris, of course", 1.0),
    ("contains", "Paris", "It is Lyon", 0.0),
    ("contains", "杭州", "答案是杭州。", 1.0),
    ("choice", "B", "B", 1.0),
    ("choice", "B", "(B) Paris", 1.0),
    ("choice", "B", "答案是B。", 1.0),
    ("choice", "B", "The answer is B, not C", 1.0),
    ("choice", "B", "C, not B", 0.0),
    ("choice", "B", "Both", 0.0),
    ("choice", "4", "4", 1.0),
    ("choice", "4", "", 0.0),
]


@pytest.mark.parametrize(("check", "expect", "answer", "worth"), ANSWERS)
def test_an_answer_is_scored_as_its_item_says(check, expect, answer, worth):
    assert score(GoldenItem(prompt="?", expect=expect, check=check), answer) == worth


def test_points_lost_are_of_a_hundred_and_below_zero_where_the_new_version_is_better():
    assert lost([1, 1, 0, 1], [1, 0, 0, 1]) == 25.0
    assert lost([0], [1]) == -100.0
    assert lost([], []) == 0.0


def ruled(diffs, **bounds):
    items = tuple(GoldenItem(prompt=str(at), expect="x") for at in range(10))
    spec = RolloutSpec(items=items, requests=2, **bounds)
    good = Arm(firsts=(0.1,) * 50, steps=(0.1,) * 50, total=50)
    return judge(spec, good, good, diffs=diffs, chance=SeededChance(1))


def test_a_step_with_items_is_neither_passed_nor_given_up_before_all_of_them_are_scored():
    assert ruled((0.0,) * 9).verdict == "more"
    assert ruled((0.0,) * 10).verdict == "accept"
    assert ruled((1.0,) * 10).verdict == "reject"
    assert ruled((0.0,) * 10, golden=11).verdict == "more"
