"""Events of control and of its nodes: numbered, kept over restarts, shown as asked."""

from dataclasses import replace

import pytest

from littoral.control.api.fleet import FleetApi
from littoral.control.event import MOST_WAITING, Events
from littoral.control.route import Call
from littoral.control.worker import Workers
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.node import Event
from littoral.domain.outbox import Batch, Rollup, Row
from littoral.domain.project import Principal
from littoral.domain.units import Micros
from littoral.testing.inbox import MemoryInbox


def event(code: str, at: int = 1, level: str = "info") -> Event:
    return Event(at_us=Micros(at), level=level, subject="s", code=code, message="m")  # type: ignore[arg-type]


def test_events_are_numbered_and_listed_after_a_number():
    events = Events(MemoryInbox())
    for code in "abc":
        events.emit(event(code))
    assert [item.event.code for item in events.after(1)] == ["b", "c"]
    assert [item.number for item in events.after(0)] == [1, 2, 3]


def test_what_was_flushed_is_there_after_a_restart():
    inbox = MemoryInbox()
    events = Events(inbox)
    events.emit(event("a"))
    events.flush()
    events.flush()
    events.emit(event("lost"))
    again = Events(inbox)
    again.emit(event("b"))
    assert [(item.number, item.event.code) for item in again.after(0)] == [(1, "a"), (2, "b")]


def test_of_very_many_that_could_not_be_written_the_oldest_are_lost():
    inbox = MemoryInbox()
    events = Events(inbox)
    for number in range(MOST_WAITING + 5):
        events.emit(event("x", number))
    assert events.number == MOST_WAITING + 5
    assert events.after(0)[-1].event.at_us == MOST_WAITING + 4


def test_events_that_came_while_others_were_written_are_written_next():
    class Busy(MemoryInbox):
        def take(self, events):
            super().take(events)
            if len(events) > 1:
                for number in range(5):
                    waiting.emit(event("later", number))

    waiting = Events(Busy())
    for number in range(MOST_WAITING):
        waiting.emit(event("x", number))
    waiting.flush()
    assert [item.event.code for item in waiting.after(MOST_WAITING)] == ["later"] * 5


@pytest.mark.anyio
async def test_events_are_written_down_where_no_two_calls_overlap(site):
    class Lanes(Workers):
        lane = ""

        async def state(self, call):
            return await super().state(lambda: self.within("state", call))

        async def ledger(self, call):
            return await super().ledger(lambda: self.within("ledger", call))

        def within(self, lane, call):
            self.lane = lane
            return call()

    class Watched(MemoryInbox):
        def take(self, events):
            taken.append((workers.lane, len(events)))
            super().take(events)

    workers, taken = Lanes(), []
    events = Events(Watched())
    events.emit(event("a"))
    api = FleetApi(replace(site.control.desk, workers=workers, events=events))
    reader = Principal(key=KeyId("k"), project=ProjectId("p"), scopes=("read",))
    call = Call(principal=reader, path={}, query={}, body=b"")
    assert [item.event.code for item in await api.events(call)] == ["a"]
    assert taken == [("state", 1)]


def sent(site, node: str, *events: Event) -> None:
    rows = tuple(Row(seq=number, event=each) for number, each in enumerate(events, 1))
    site.inbox.apply(NodeId(node), "ob", Batch(lane="event", rows=rows))


def shown(control, **params: str) -> list[str]:
    answer = control.call("GET", "/events", params=params)
    assert answer.status_code == 200, answer.text
    return [item["event"]["code"] for item in answer.json()["items"]]


def test_events_are_served_by_number_node_site_code_and_level(site):
    site.parts.events.emit(event("control.a"))
    site.parts.events.flush()
    assert shown(site, site="elsewhere") == []
    site.join("nd_1")
    sent(site, "nd_1", event("disk_full", 5, "error"), event("disk_ok", 6))
    assert shown(site) == ["control.a", "disk_full", "disk_ok"]
    assert shown(site, after="1") == ["disk_full", "disk_ok"]
    assert shown(site, node="nd_1") == shown(site, node="here") == ["disk_full", "disk_ok"]
    assert shown(site, site="elsewhere") == []
    assert shown(site, code="disk_ok") == ["disk_ok"]
    assert shown(site, level="error", limit="1") == ["disk_full"]


def test_what_cannot_be_asked_for_is_said(site):
    for params, words in (
        ({"after": "-1"}, "not a number"),
        ({"limit": "many"}, "not a number"),
        ({"limit": "0"}, "not within 1 to 500"),
        ({"limit": "501"}, "not within 1 to 500"),
        ({"level": "loud"}, "info, warning, error"),
    ):
        answer = site.call("GET", "/events", params=params)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
    assert site.call("GET", "/events", params={"node": "nobody"}).status_code == 404


def test_what_a_node_measured_is_served_by_range_of_time(site):
    site.join("nd_1")
    made = [Rollup(at_us=Micros(n), span_s=60, figures={"requests": n}) for n in range(1, 6)]
    rows = tuple(Row(seq=each.at_us, rollup=each) for each in made)
    site.inbox.apply(NodeId("nd_1"), "ob", Batch(lane="metric", rows=rows))

    def times(name: str, **params: str) -> list[int]:
        answer = site.call("GET", f"/nodes/{name}/metrics", params=params)
        assert answer.status_code == 200, answer.text
        return [item["at_us"] for item in answer.json()["items"]]

    assert times("nd_1") == times("here") == [1, 2, 3, 4, 5]
    assert times("nd_1", since="2", until="4") == [2, 3]
    assert times("nd_1", until="1970-01-01T00:00:00.000003Z") == [1, 2]
    assert times("nd_1", limit="1") == [5]
    assert site.call("GET", "/nodes/nobody/metrics").status_code == 404
    assert site.call("GET", "/nodes/nd_1").json()["heard"] is None
