"""Meter: a node's figures by the minute, written down first and sent last."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.gauge import MINUTE_S, Gauge, span_s
from littoral.domain.node import Reading
from littoral.domain.outbox import Rollup
from littoral.domain.ports import Clock, Outbox
from littoral.domain.usage import UsageRecord
from littoral.node.board import Board
from littoral.node.flush import Flush

TOGETHER = 5
"""Rollups that are sent together: one alone would cost control a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterParts:
    """What metering needs.

    ``reading`` is what the sensors said last; ``reachable`` is whether control hears us; ``pace``
    is by how much longer a minute is.
    """

    board: Board
    outbox: Outbox
    flush: Flush
    clock: Clock
    reading: Callable[[], Reading]
    reachable: Callable[[], bool]
    pace: float = 1.0


class Meter:
    """Measures one span after the other.

    Args:
        parts: The world.
    """

    def __init__(self, parts: MeterParts) -> None:
        self._parts = parts
        self._gauge = Gauge()
        self._began = parts.clock.now()
        self._since = parts.clock.wall()
        self._made = 0

    def take(self, records: Sequence[UsageRecord]) -> None:
        """Requests that ended."""
        self._gauge.add(records)

    async def run(self) -> None:
        """Measure until cancelled; what was begun is lost then: the ledger has what counts."""
        while True:
            await anyio.sleep(MINUTE_S * self._parts.pace)
            await self._look()

    async def _look(self) -> None:
        """A minute is over; is the span?"""
        parts = self._parts
        self._gauge.see(self._values())
        with suppress(LittoralError):  # the disk is full or broken: figures are the first to go
            level = (await parts.outbox.level()).lanes["metric"]
            lasted = parts.clock.now() - self._began
            if lasted >= span_s(level.share) * parts.pace - MINUTE_S / 2:
                await self._close(round(lasted))

    async def _close(self, lasted: int) -> None:
        parts, gauge, since = self._parts, self._gauge, self._since
        self._gauge, self._began, self._since = Gauge(), parts.clock.now(), parts.clock.wall()
        await parts.outbox.put([Rollup(at_us=since, span_s=lasted, figures=gauge.figures())])
        self._made += 1
        if self._made % TOGETHER == 1:
            parts.flush.measured()

    def _values(self) -> Mapping[str, float | None]:
        board, reading = self._parts.board, self._parts.reading()
        machine, endpoints = board.machine, board.status().endpoints
        used = 1 - machine.memory_free / machine.memory if machine.memory else None
        return {
            "engines": float(len(endpoints)),
            "engines_ready": float(sum(each.state == "ready" for each in endpoints)),
            "cpu_busy": reading.busy,
            "memory_used": used,
            "memory_waits": None if reading.memory_waits is None else reading.memory_waits / 100,
            "disk_used": reading.disk_used,
            "hottest_c": reading.hottest_c,
            "outbox_waiting": float(board.brim.waiting),
            "control_reached": float(self._parts.reachable()),
        }
