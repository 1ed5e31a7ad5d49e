"""The system's clock, noise and failpoints."""

import pytest

from littoral.app.system import (
    FailpointError,
    SystemChance,
    SystemClock,
    SystemEntropy,
    SystemFailpoints,
    environment,
)
from littoral.domain.errors import InvalidInput


def test_the_clock_does_not_run_backwards() -> None:
    clock = SystemClock()
    assert clock.now() <= clock.now()
    assert clock.wall() > 1_700_000_000_000_000


def test_chance_and_entropy_are_of_the_asked_shape() -> None:
    assert 0 <= SystemChance().random() < 1
    assert len(SystemEntropy().bytes(10)) == 10


def test_the_environment_is_the_processs_own() -> None:
    assert environment()["PATH"]


def test_an_unarmed_failpoint_does_nothing() -> None:
    SystemFailpoints().hit("outbox.begin")
    SystemFailpoints("stored.sent=error@1").hit("outbox.begin")


def test_an_error_comes_at_the_counted_hit_only() -> None:
    failpoints = SystemFailpoints("stored.sent=error@2, records.sent=delay:1")
    failpoints.hit("stored.sent")
    failpoints.hit("records.sent")
    with pytest.raises(FailpointError, match=r"stored\.sent"):
        failpoints.hit("stored.sent")
    failpoints.hit("stored.sent")


@pytest.mark.parametrize(
    "specification",
    ["outbox.gone=kill@1", "stored.sent", "stored.sent=error:1", "stored.sent=kill@0", "a=b"],
)
def test_a_specification_that_means_nothing_is_refused(specification: str) -> None:
    with pytest.raises(InvalidInput, match="known"):
        SystemFailpoints(specification)
