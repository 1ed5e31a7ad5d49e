"""One suite for Failpoints: the ones that settings arm, and the ones that a test arms."""

import pytest

from littoral.app.system import FailpointError, SystemFailpoints
from littoral.domain.errors import InvalidInput
from littoral.domain.failpoint import NAMES
from littoral.domain.ports import Failpoints
from littoral.testing.failpoints import ArmedFailpoints, Crash

PLACE = "outbox.committed"


def third_pass_of_the_twin() -> Failpoints:
    twin = ArmedFailpoints()
    twin.arm(PLACE, after=2)
    return twin


UNARMED = [SystemFailpoints, ArmedFailpoints]
ARMED = [lambda: SystemFailpoints(f"{PLACE}=error@3"), third_pass_of_the_twin]


@pytest.mark.parametrize("make", UNARMED)
@pytest.mark.parametrize("name", NAMES)
def test_an_unarmed_place_is_passed(make, name):
    failpoints: Failpoints = make()
    assert [failpoints.hit(name) for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize("make", ARMED)
def test_an_armed_place_fails_at_its_pass_and_only_then(make):
    failpoints = make()
    failpoints.hit(PLACE)
    failpoints.hit(PLACE)
    with pytest.raises((FailpointError, Crash)):
        failpoints.hit(PLACE)
    failpoints.hit(PLACE)


@pytest.mark.parametrize("make", ARMED)
def test_other_places_do_not_count(make):
    failpoints = make()
    for _ in range(5):
        failpoints.hit("outbox.begin")
    failpoints.hit(PLACE)


@pytest.mark.parametrize("text", ["nowhere=error@1", f"{PLACE}=explode", f"{PLACE}=kill@0", PLACE])
def test_a_specification_that_cannot_be_is_refused_by_name(text):
    with pytest.raises(InvalidInput, match=r"outbox\.committed") as refused:
        SystemFailpoints(text)
    assert refused.value.param == "failpoints"
