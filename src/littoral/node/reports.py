"""Reports: all that a node tells of itself, put together: its start, its machine, its journal."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio

from littoral.domain.endpoint import Machine
from littoral.domain.ports import Clock, Disk, Outbox
from littoral.node.board import Board
from littoral.node.diary import Diary
from littoral.node.filling import watch
from littoral.node.flush import Flush
from littoral.node.journal import Journal
from littoral.node.meter import Meter, MeterParts
from littoral.node.overheard import Overheard
from littoral.node.start import Start
from littoral.node.tending import Tools
from littoral.node.watch import Watch, WatchParts


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportParts:
    """What reports need.

    ``reachable`` is whether control hears us; ``pace`` is by how much more slowly the machine is
    looked at.
    """

    board: Board
    outbox: Outbox
    flush: Flush
    disk: Disk
    clock: Clock
    machine: Callable[[], Machine]
    tools: Tools
    overheard: Overheard
    reachable: Callable[[], bool]
    pace: float


class Reports:
    """Says what happens at a node, and writes it down.

    Args:
        parts: The world.
    """

    def __init__(self, parts: ReportParts) -> None:
        self._board, self._outbox, self._pace = parts.board, parts.outbox, parts.pace
        self._start = Start(parts.disk, parts.tools.origin)
        self._watch = Watch(
            WatchParts(
                machine=parts.machine,
                sensors=parts.tools.sensors,
                overheard=parts.overheard,
                board=parts.board,
                clock=parts.clock,
                pace=parts.pace,
            )
        )
        self._journal = Journal(
            parts.board,
            parts.outbox,
            parts.flush,
            clock=parts.clock,
            diary=Diary(parts.disk, clock=parts.clock),
        )

        self.meter = Meter(
            MeterParts(
                board=parts.board,
                outbox=parts.outbox,
                flush=parts.flush,
                clock=parts.clock,
                reading=lambda: self._watch.reading,
                reachable=parts.reachable,
                pace=parts.pace,
            )
        )

    def begin(self) -> None:
        """The node starts: what was overheard until now, and what ended its last life."""
        self._watch.listen()
        begun = self._start.begin()
        self._board.say(begun.subject, begun.code, begun.message, level=begun.level)

    async def run(self) -> None:
        """Watch and write until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch.run)
            group.start_soon(self._journal.run)
            group.start_soon(self.meter.run)
            group.start_soon(partial(watch, self._board, self._outbox, pace=self._pace))

    def end(self) -> None:
        """The node ends because it was told to."""
        self._watch.listen()
        self._start.end()
