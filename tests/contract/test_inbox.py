"""One suite for Inbox, on the file and on its twin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.domain.audit import Finding, Numbered, Vote
from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId, RequestId
from littoral.domain.news import Wanted
from littoral.domain.node import Event
from littoral.domain.outbox import Batch, Mark, Rollup, Row, Sample
from littoral.domain.ports import Inbox
from littoral.domain.units import Micros
from littoral.stores.inbox import SqliteInbox
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.inbox import MemoryInbox

ONE, TWO = NodeId("nd_1"), NodeId("nd_2")


def event(at: int, code: str = "disk_full", level: str = "error", **more: object) -> Event:
    given = {"subject": "disk", "message": f"at {at}", **more}
    return Event(at_us=Micros(at), level=level, code=code, **given)  # type: ignore[arg-type]


def rows(*events: Event, first: int = 1) -> Batch:
    made = [Row(seq=n, mac=b"%d" % n, event=each) for n, each in enumerate(events, first)]
    before = b"%d" % (first - 1) if first > 1 else b""
    return Batch(lane="event", prev_mac=before, rows=tuple(made))


@pytest.fixture(params=["file", "memory"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inbox]:
    if request.param == "memory":
        yield MemoryInbox()
        return
    path = str(tmp_path / "telemetry.db")
    with SqliteInbox.open(path, failpoints=ArmedFailpoints()) as opened:
        yield opened


def codes(inbox: Inbox, **wanted: object) -> list[str]:
    return [each.event.code for each in inbox.events(Wanted(**wanted))]  # type: ignore[arg-type]


def test_events_of_a_node_come_back_as_they_were_with_numbers_and_the_node(inbox: Inbox):
    sent = [event(5, "a", count=7), event(3, "b", level="info")]
    done = inbox.apply(ONE, "ob", rows(*sent))
    assert (done.judgement, done.mark) == ("applied", Mark(seq=2, mac=b"2"))
    found = inbox.events(Wanted())
    assert [each.event for each in found] == sent
    assert [(each.number, each.node) for each in found] == [(1, ONE), (2, ONE)]


def test_an_event_counts_once_however_often_and_under_whatever_name_it_comes(inbox: Inbox):
    inbox.apply(ONE, "ob", rows(event(1), event(2)))
    assert inbox.apply(ONE, "ob", rows(event(1), event(2))).judgement == "known"
    done = inbox.apply(ONE, "ob2", rows(event(1), event(2), event(3)))
    assert (done.judgement, done.mark.seq) == ("applied", 3)
    inbox.apply(TWO, "ob", rows(event(1)))
    found = inbox.events(Wanted())
    assert [(each.node, each.event.at_us) for each in found] == [
        (ONE, 1), (ONE, 2), (ONE, 3), (TWO, 1)
    ]  # fmt: skip


def test_a_gap_and_a_fork_are_not_taken_and_a_hole_is_counted(inbox: Inbox):
    inbox.apply(ONE, "ob", rows(event(1)))
    assert inbox.apply(ONE, "ob", rows(event(9), first=5)).judgement == "gap"
    fork = Batch(lane="event", prev_mac=b"x", rows=(Row(seq=2, event=event(9)),))
    assert inbox.apply(ONE, "ob", fork).judgement == "forked"
    hole = Batch(
        lane="event",
        rows=(Row(seq=7, mac=b"7", hole=2), Row(seq=8, mac=b"8", event=event(10))),
    )
    done = inbox.apply(ONE, "ob", hole)
    assert (done.mark, done.missing) == (Mark(seq=8, mac=b"8"), 6)
    assert [each.event.at_us for each in inbox.events(Wanted())] == [1, 10]


def test_lanes_have_cursors_of_their_own(inbox: Inbox):
    assert inbox.cursors(ONE, "ob") == {}
    rollup = Rollup(at_us=Micros(60), span_s=60, figures={"memory_free": 0.5, "requests": 3.0})
    sample = Sample(at_us=Micros(1), request=RequestId("r"), project=ProjectId("p"), sealed=b"\x00")
    inbox.apply(ONE, "ob", rows(event(1)))
    inbox.apply(ONE, "ob", Batch(lane="metric", rows=(Row(seq=1, mac=b"m", rollup=rollup),)))
    inbox.apply(ONE, "ob", Batch(lane="sample", rows=(Row(seq=1, mac=b"s", sample=sample),)))
    assert inbox.cursors(ONE, "ob") == {
        "event": Mark(seq=1, mac=b"1"),
        "metric": Mark(seq=1, mac=b"m"),
        "sample": Mark(seq=1, mac=b"s"),
    }
    assert inbox.cursors(TWO, "ob") == {}
    assert inbox.rollups(ONE, limit=5) == [rollup]
    assert inbox.rollups(TWO, limit=5) == []


def test_the_last_rollups_come_oldest_first(inbox: Inbox):
    made = [Rollup(at_us=Micros(n), span_s=60, figures={"n": float(n)}) for n in range(1, 6)]
    sent = tuple(Row(seq=n, rollup=each) for n, each in enumerate(made, 1))
    inbox.apply(ONE, "ob", Batch(lane="metric", rows=sent))
    assert inbox.rollups(ONE, limit=2) == made[-2:]
    assert inbox.rollups(ONE, limit=9, since_us=2, until_us=4) == made[1:3]


def test_events_are_shown_by_node_code_level_and_number(inbox: Inbox):
    inbox.take([event(1, "node.joined", "info")])
    inbox.apply(ONE, "ob", rows(event(2, "engine_crashed"), event(3, "node.hot", "warning")))
    inbox.apply(TWO, "ob", rows(event(4, "engine_crashed")))
    assert codes(inbox) == ["node.joined", "engine_crashed", "node.hot", "engine_crashed"]
    assert codes(inbox, nodes=(ONE,)) == ["engine_crashed", "node.hot"]
    assert codes(inbox, nodes=("", TWO)) == ["node.joined", "engine_crashed"]
    assert codes(inbox, nodes=()) == []
    assert codes(inbox, code="node.") == ["node.joined", "node.hot"]
    assert codes(inbox, code="node") == []
    assert codes(inbox, level="warning") == ["node.hot"]
    assert codes(inbox, after=2) == ["node.hot", "engine_crashed"]
    assert codes(inbox, limit=1) == ["engine_crashed"]
    assert codes(inbox, limit=1, code="node.") == ["node.hot"]


def test_findings_and_votes_are_numbered_and_each_is_given_once(inbox: Inbox):
    finding = Finding(
        at_us=Micros(1),
        policy="p",
        tag="t",
        candidate=DeploymentName("edge"),
        judge="exact",
        loss=-0.5,
        cheap=True,
        probability=0.15,
        cost=0.25,
    )
    vote = Vote(at_us=Micros(2), request=RequestId("r"), key=KeyId("k"), score=1.0)
    assert inbox.noted() == 0
    sent = Batch(lane="sample", rows=(Row(seq=1, finding=finding), Row(seq=2, vote=vote)))
    inbox.apply(ONE, "ob", sent)
    inbox.apply(ONE, "ob", sent)
    assert inbox.noted() == 2
    assert inbox.notes(0, limit=9) == [
        Numbered(number=1, note=finding),
        Numbered(number=2, note=vote),
    ]
    assert [each.number for each in inbox.notes(1, limit=9)] == [2]
    assert [each.number for each in inbox.notes(0, limit=1)] == [1]
