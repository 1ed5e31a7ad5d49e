"""The twins that tests steer: failpoints and the sink."""

import pytest

from littoral.domain.node import Event
from littoral.domain.units import Micros
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.sink import ListSink


def test_an_armed_failpoint_raises_once_at_the_pass_asked_for():
    failpoints = ArmedFailpoints()
    failpoints.hit("outbox.begin")
    failpoints.arm("outbox.begin", after=1)
    failpoints.hit("outbox.begin")
    with pytest.raises(Crash, match=r"outbox\.begin"):
        failpoints.hit("outbox.begin")
    failpoints.hit("outbox.begin")
    assert failpoints.passes["outbox.begin"] == 4


def test_a_disarmed_failpoint_passes():
    failpoints = ArmedFailpoints()
    failpoints.arm("outbox.begin", OSError("gone"))
    failpoints.disarm("outbox.begin")
    failpoints.hit("outbox.begin")
    failpoints.arm("outbox.begin", OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        failpoints.hit("outbox.begin")


def test_the_sink_keeps_events_in_order():
    sink = ListSink()
    for code in ("a", "b"):
        sink.emit(Event(at_us=Micros(1), level="info", subject="x", code=code, message=""))
    assert sink.codes() == ["a", "b"]
