"""A cascade asks no candidate first that audits keep from a tag."""

import pytest

from cascades import FAR, NEAR, Two
from littoral.domain.audit import Standing
from littoral.domain.policy import Audits, Quality


@pytest.fixture
def two(rig, kit):
    return Two(rig, kit)


@pytest.mark.parametrize(("tags", "ports"), [((), [2]), (("c",), [1])])
def test_what_audits_hold_has_no_first_answer_of_the_candidate(two, tags, ports):
    two.standings = (Standing(policy="c", candidate=NEAR, decided=True, tags=tags),)
    audits = Audits(reference=FAR, candidate=NEAR)
    two.declare({"quality": Quality(max_loss=0.02, audits=audits)}, below=0.6)
    assert two.ask().port == ports[0]
    assert two.open() == ports
    assert two.rig.worker.counters["cascades"] == 0
