"""A node's figures: a row a minute, coarser where there is little room, sent several at a time."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.node import Reading
from littoral.node.flush import Flush
from littoral.node.meter import TOGETHER, Meter, MeterParts
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.usage import usage_record


class Metered:
    def __init__(self, around, outbox: MemoryOutbox) -> None:
        self.around, self.outbox = around, outbox
        self.told = 0

    def meter(self) -> Meter:
        around, outbox = self.around, self.outbox
        flush = Flush(
            outbox, board=around.board, chance=around.chance, failpoints=around.failpoints
        )
        flush.measured = self.heard
        around.board.machine = replace(around.machine, memory=8, memory_free=2)
        return Meter(
            MeterParts(
                board=around.board,
                outbox=outbox,
                flush=flush,
                clock=around.clock,
                reading=lambda: Reading(busy=0.5, memory_waits=10.0),
                reachable=lambda: True,
            )
        )

    def heard(self) -> None:
        self.told += 1

    def during(self, minutes: float, records=()) -> None:
        async def main() -> None:
            meter = self.meter()
            meter.take(records)
            with anyio.move_on_after(minutes * 60 + 1):
                await meter.run()

        simulate(main)

    def made(self):
        async def read():
            return (await self.outbox.read("metric", 0, 500)).rows

        return [row.rollup for row in simulate(read) if row.hole is None]


@pytest.fixture
def metered(around) -> Metered:
    return Metered(around, MemoryOutbox())


def test_each_minute_is_a_row_with_what_ended_in_it_and_the_machine(metered) -> None:
    metered.during(2, [usage_record(1)])
    first, second = metered.made()
    assert (first.span_s, first.figures["requests"], second.figures["requests"]) == (60, 1, 0)
    assert second.at_us - first.at_us == 60_000_000
    assert first.figures["memory_used"] == 0.75
    assert (first.figures["cpu_busy"], first.figures["memory_waits"]) == (0.5, 0.1)
    assert first.figures["control_reached"] == 1.0


def test_rows_are_sent_several_at_a_time(metered) -> None:
    metered.during(TOGETHER * 2)
    assert len(metered.made()) == TOGETHER * 2
    assert metered.told == 2


def test_with_little_room_spans_are_longer_and_a_full_disk_costs_figures_alone(around) -> None:
    metered = Metered(around, MemoryOutbox(quota=60_000))
    metered.during(60)
    spans = [each.span_s for each in metered.made()]
    assert 60 in spans
    assert 300 in spans
    kept = metered.made()
    metered.outbox.full = True
    metered.during(120)
    assert metered.made() == kept
    metered.outbox.full = False
    metered.during(61)
    assert metered.made() != kept
