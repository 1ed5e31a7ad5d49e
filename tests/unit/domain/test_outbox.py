"""Rows of nodes whose clocks were wrong."""

from dataclasses import replace

from littoral.domain.node import Event
from littoral.domain.outbox import Batch, Row, dated
from littoral.domain.units import Micros
from littoral.testing.usage import usage_batch, usage_record

NOW = Micros(1_800_000_000_000_000)
LATER = Micros(NOW + 3_600_000_000)


def event(at_us):
    return Event(at_us=at_us, level="info", subject="x", code="y", message="z")


def test_what_is_dated_after_it_came_is_dated_by_when_it_came():
    batch = usage_batch([usage_record(1, at_us=LATER), usage_record(2, at_us=Micros(5))])
    found = dated(batch, NOW)
    assert [row.usage.at_us for row in found.rows] == [NOW, 5]
    assert found.end == batch.end
    assert found.rows[0].usage == replace(batch.rows[0].usage, at_us=NOW)


def test_events_are_dated_alike_and_holes_have_no_date():
    rows = (Row(seq=1, event=event(LATER)), Row(seq=2, event=event(Micros(5))), Row(seq=4, hole=3))
    found = dated(Batch(lane="event", rows=rows), NOW)
    assert [row.event and row.event.at_us for row in found.rows] == [NOW, 5, None]


def test_a_batch_of_true_dates_is_passed_on_as_it_is():
    batch = usage_batch([usage_record(1, at_us=NOW)])
    assert dated(batch, NOW) is batch
