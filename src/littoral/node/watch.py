"""Watch: looks at the machine from time to time, and tells what it suffers from."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from littoral.domain.ailment import Ailments, Remark, judge
from littoral.domain.endpoint import Machine
from littoral.domain.node import Reading
from littoral.domain.ports import Clock
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.overheard import Overheard

EVERY = Seconds(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """What watching needs; ``pace`` is by how much more slowly all of it goes."""

    machine: Callable[[], Machine]
    sensors: Callable[[], Reading]
    overheard: Overheard
    board: Board
    clock: Clock
    pace: float = 1.0


class Watch:
    """Keeps the machine's figures fresh, and tells what ails it.

    Args:
        parts: The world.
    """

    def __init__(self, parts: WatchParts) -> None:
        self._parts = parts
        self._ailments = Ailments()
        self.reading = Reading()
        """The last reading."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await anyio.sleep(EVERY * self._parts.pace)

    def look(self) -> None:
        """Look once."""
        parts, board = self._parts, self._parts.board
        board.machine = parts.machine()
        self.reading = parts.sensors()
        before = self._ailments
        self._ailments, remarks = judge(before, self.reading, now=parts.clock.now())
        now = self._ailments.troubles
        for name in before.troubles.keys() | now.keys():
            board.put_trouble(name, now.get(name, ""))
        for remark in remarks:
            self._say(remark)
        self.listen()

    def listen(self) -> None:
        """Pass on what was overheard."""
        for event in self._parts.overheard.take():
            self._parts.board.hear(event)

    def _say(self, remark: Remark) -> None:
        self._parts.board.say(remark.subject, remark.code, remark.message, level=remark.level)
