"""One suite for Sink: the log, and the list that stands in for it."""

import json

import pytest

from littoral.domain.node import Event
from littoral.domain.ports import Sink
from littoral.domain.units import Micros
from littoral.telemetry.log import Log
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink


class Written:
    """A log and what it wrote, read back as events' codes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.sink: Sink = Log(self.lines.append, clock=SettableClock(), role="node")

    def codes(self) -> list[str]:
        return [json.loads(line)["event.code"] for line in self.lines]


class Listed:
    """The twin, seen in the same way."""

    def __init__(self) -> None:
        self.twin = ListSink()
        self.sink: Sink = self.twin

    def codes(self) -> list[str]:
        return self.twin.codes()


@pytest.fixture(params=[Written, Listed])
def seen(request):
    return request.param()


def event(code: str, message: str = "an engine ended") -> Event:
    return Event(
        at_us=Micros(1_790_000_000_000_000),
        level="warning",
        subject="deployment/small",
        code=code,
        message=message,
    )


def test_events_come_in_the_order_in_which_they_were_given(seen):
    for code in ("engine_failed", "engine_ready", "engine_failed"):
        seen.sink.emit(event(code))
    assert seen.codes() == ["engine_failed", "engine_ready", "engine_failed"]


def test_a_message_may_be_of_any_length_and_hold_any_character(seen):
    seen.sink.emit(event("odd", "云岸 \x00\n\ud83d" + "x" * 100_000))
    assert seen.codes() == ["odd"]


def test_a_log_that_cannot_be_written_raises_nothing():
    def full(line: str) -> None:
        raise OSError(28, line[:1])

    Log(full, clock=SettableClock(), role="node").emit(event("engine_failed"))
