"""Rows of an outbox: which lane they go into, and none of a later date than when they came."""

from dataclasses import replace

import pytest

from littoral.domain.audit import Finding, Vote
from littoral.domain.ids import DeploymentName, KeyId, ProjectId, RequestId
from littoral.domain.node import Event
from littoral.domain.outbox import Batch, LaneLevel, Rollup, Row, Sample, dated, is_full, lane_of
from littoral.domain.units import Bytes, Micros
from littoral.testing.usage import usage_record

EVENT = Event(at_us=Micros(5), level="info", subject="s", code="c", message="m")
SAMPLE = Sample(at_us=Micros(5), request=RequestId("r"), project=ProjectId("p"), sealed=b"")
ROLLUP = Rollup(at_us=Micros(5), span_s=60, figures={})
FINDING = Finding(
    at_us=Micros(5),
    policy="p",
    tag="t",
    candidate=DeploymentName("near"),
    judge="exact",
    loss=0.0,
    cheap=True,
    probability=0.15,
)
VOTE = Vote(at_us=Micros(5), request=RequestId("r"), key=KeyId("k"), score=1.0)


@pytest.mark.parametrize(
    ("note", "lane"),
    [
        (EVENT, "event"),
        (SAMPLE, "sample"),
        (FINDING, "sample"),
        (VOTE, "sample"),
        (ROLLUP, "metric"),
    ],
)
def test_each_note_has_a_lane(note, lane) -> None:
    assert lane_of(note) == lane


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ("event", EVENT),
        ("rollup", ROLLUP),
        ("usage", usage_record(1, at_us=Micros(5))),
        ("finding", FINDING),
        ("vote", VOTE),
    ],
)
def test_what_says_to_be_of_later_is_of_when_it_came(field, note) -> None:
    early = Row(seq=1, **{field: replace(note, at_us=Micros(2))})
    batch = Batch(lane="event", rows=(early, Row(seq=2, **{field: note})))
    assert dated(batch, Micros(5)) is batch
    first, second = dated(batch, Micros(3)).rows
    assert first == early
    assert getattr(second, field) == replace(note, at_us=Micros(3))


def test_a_lane_without_a_quota_is_never_full() -> None:
    assert LaneLevel(held=Bytes(7)).share == 0.0
    assert LaneLevel(held=Bytes(7), quota=Bytes(14)).share == 0.5


def test_only_rows_that_control_lacks_fill_a_ledger_and_it_empties_before_it_is_free():
    assert LaneLevel(held=Bytes(7), quota=Bytes(14)).owed == 0.0
    level = LaneLevel(held=Bytes(100), quota=Bytes(100), rows=100, waiting=95)
    assert level.owed == 0.95
    assert is_full(level, was=False)
    less = replace(level, waiting=92)
    assert not is_full(less, was=False)
    assert is_full(less, was=True)
    assert not is_full(replace(level, waiting=89), was=True)
    assert not is_full(LaneLevel(), was=False)
