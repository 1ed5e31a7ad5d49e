"""The bonus of a warm candidate: it decides between equals, and load still wins."""

import math

import pytest

from littoral.placement.decide import Row, rank
from littoral.placement.warmth import WARM, restored, warmed

ROW = Row("a", True, 0b1, 4096, 2, 0.1, 0.001, 0.01, math.log(1.5), 1.0, 0.0, 0.0)  # noqa: FBT003  ready
ROWS = [ROW, ROW._replace(id="b")]
ASK = {"tokens_in": 100, "tokens_out": 51, "mask": 1, "total_s": math.inf, "skip": 0}


def ask(rows, loads, *, warm):
    return restored(rank(warmed(rows, warm), loads, **ASK), warm)


def test_of_equals_the_warm_one_is_chosen_and_predicted_as_without_the_bonus():
    verdict, plain = ask(ROWS, [1, 1], warm=1), rank(ROWS, [1, 1], **ASK)
    assert (verdict.position, verdict.why) == (1, "warm")
    assert verdict[2:6] == pytest.approx(plain[2:6])


def test_a_warm_one_whose_slots_are_taken_loses():
    verdict = ask(ROWS, [0, 2], warm=1)
    assert (verdict.position, verdict.why) == (0, "fastest")
    assert verdict == rank(ROWS, [0, 2], **ASK)


def test_a_warm_one_that_is_more_than_the_bonus_slower_loses():
    slow = ROW._replace(id="b", t_step=ROW.t_step / WARM**3, t_in=ROW.t_in / WARM**3)
    assert ask([ROW, slow], [0, 0], warm=1).position == 0


def test_a_warm_one_that_is_alone_or_cheapest_is_chosen_for_that():
    assert ask([ROW], [0], warm=0).why == "only"
    paid = ROW._replace(id="c", price_out=1.0)
    assert ask([ROW, paid], [0, 0], warm=0).why == "cheapest"
