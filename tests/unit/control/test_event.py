"""Events: bounded, numbered, kept over restarts."""

from littoral.control.event import MOST_EVENTS, Events
from littoral.domain.node import Event
from littoral.domain.units import Micros
from littoral.testing.state import MemoryState


def event(code: str) -> Event:
    return Event(at_us=Micros(1), level="info", subject="s", code=code, message="m")


def test_events_are_numbered_and_listed_after_a_number():
    events = Events(MemoryState())
    for code in "abc":
        events.emit(event(code))
    assert [item.event.code for item in events.after(1)] == ["b", "c"]
    assert [item.number for item in events.after(0)] == [1, 2, 3]


def test_only_the_last_ones_are_kept():
    events = Events(MemoryState())
    for _ in range(MOST_EVENTS + 10):
        events.emit(event("x"))
    assert [item.number for item in events.after(0)] == list(range(11, MOST_EVENTS + 11))


def test_what_was_flushed_is_there_after_a_restart():
    state = MemoryState()
    events = Events(state)
    events.emit(event("a"))
    events.flush()
    revision = state.revision()
    events.flush()
    assert state.revision() == revision
    events.emit(event("lost"))
    again = Events(state)
    again.emit(event("b"))
    assert [(item.number, item.event.code) for item in again.after(0)] == [(1, "a"), (2, "b")]


def test_events_are_served_after_a_number(site):
    site.parts.events.emit(event("a"))
    site.parts.events.emit(event("b"))
    answer = site.call("GET", "/events", params={"after": "1"}).json()
    assert [item["event"]["code"] for item in answer["items"]] == ["b"]
    assert site.call("GET", "/events", params={"after": "-1"}).status_code == 400
