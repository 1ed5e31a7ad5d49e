"""Findings fold into which tags the cheaper deployment gets; votes become losses of pairs."""

from dataclasses import replace

import pytest

from littoral.domain.audit import Finding
from littoral.domain.ids import DeploymentName
from littoral.domain.units import Micros
from littoral.placement import loop as loops
from littoral.placement.loop import begun, estimates, heard, recent, settled, voted
from littoral.placement.quality import STEP, YOUNG, Posterior

EDGE = DeploymentName("edge")
NEW = begun("p", "edge", pair="edge/cloud", budget=0.1)


def finding(tag="t", loss=0.0, *, cheap=True, probability=1.0, cost=0.0):
    return Finding(
        at_us=Micros(1),
        policy="p",
        tag=tag,
        candidate=EDGE,
        judge="exact",
        loss=loss,
        cheap=cheap,
        probability=probability,
        cost=cost,
    )


def fed(count, loop=NEW, **fields):
    for _ in range(count):
        loop = heard(loop, finding(**fields))
    return loop


def test_before_the_first_audit_everything_is_audited_and_nothing_decided():
    assert (NEW.standing.cheap, NEW.standing.dear) == (1.0, 1.0)
    assert not NEW.standing.decided
    assert estimates(NEW) == []


def test_a_young_loop_decides_nothing_however_good_the_answers_are():
    loop = fed(YOUNG - 1)
    assert not loop.standing.decided
    assert loop.standing.tags == ()
    assert fed(1, loop).standing.decided


def test_a_good_tag_is_allowed_and_a_bad_one_is_not():
    loop = NEW
    for at in range(YOUNG):
        loop = heard(loop, finding("good") if at % 2 else finding("bad", 1.0, cheap=False))
    assert loop.standing.tags == ("good",)
    found = {each.tag: each for each in estimates(loop)}
    assert found["bad"].loss > 0.5 > found["good"].loss
    assert found["good"].share == pytest.approx(0.5)
    assert (found["good"].allowed, found["bad"].allowed) == (True, False)
    assert 0.0 < found["bad"].error < 0.2


def test_what_follows_changes_every_ten_audits_only():
    loop = fed(STEP - 1)
    assert loop.standing is NEW.standing
    assert fed(1, loop).standing.cheap < 1.0


def test_a_rare_audit_stands_for_many_requests_of_its_tag():
    loop = heard(heard(NEW, finding("rare", probability=0.05)), finding("often"))
    assert estimates(loop)[0].tag == "rare"
    assert estimates(loop)[0].share == pytest.approx(20 / 21)


def test_what_audits_took_is_summed():
    assert fed(3, cost=0.5).spent == pytest.approx(1.5)


def test_the_loss_of_late_is_that_of_answers_that_callers_got():
    assert recent(heard(NEW, finding(loss=1.0))).mean == pytest.approx(1.0)
    assert recent(heard(NEW, finding(loss=1.0, cheap=False))).mean == 0.0


def test_tags_beyond_the_most_that_are_kept_are_not_learned():
    full = replace(NEW, tags={f"t{at}": Posterior() for at in range(loops.MOST_TAGS)})
    assert heard(full, finding("new")) is full
    assert heard(full, finding("t1")) is not full
    crowd = replace(NEW, votes=dict.fromkeys((f"t{at}" for at in range(loops.MOST_TAGS)), TWO))
    assert voted(crowd, "new", 1.0, cheap=True) == (crowd, None)


TWO = loops.Votes(cheap=loops.Side(count=1.0, total=1.0), dear=loops.Side(count=2.0, total=1.0))


def test_a_vote_is_compared_with_the_other_sides_mean():
    loop, loss = voted(NEW, "t", 1.0, cheap=False)
    assert loss is None
    loop, loss = voted(loop, "t", 0.25, cheap=True)
    assert loss == pytest.approx(0.75)
    loop, loss = voted(loop, "t", 0.5, cheap=False)
    assert loss == pytest.approx(0.25)
    assert loop.votes["t"].dear.count == 2.0


def test_to_settle_again_changes_nothing():
    loop = fed(YOUNG)
    assert settled(loop) == loop
