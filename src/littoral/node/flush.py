"""Flush: the rows of the outbox, lane after lane, to control, from its own cursor on.

Control's cursor is the truth: a batch that was not answered, or not taken, is sent again from
there. The ledger goes first, and again first after every batch of another lane. Measurements wait
for company: they go when a session begins, and when there are several.
"""

from collections import deque
from collections.abc import Callable

import anyio

from littoral.domain.outbox import LANES, MANY, Batch, Lane, Mark
from littoral.domain.ports import Chance, Channel, ChannelClosed, Failpoints, Outbox
from littoral.domain.session import Records, Stored, Welcome
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.signal import Signal

STORED_WITHIN = Seconds(10.0)
"""No answer to records for so long: send them again from control's cursor."""
GATHER = Seconds(0.1)
"""How long rows may wait for company."""
FEW = 50
"""Rows of a batch that is worth sending at once."""
SHORT = Seconds(1.0)
"""Pause before rows that control did not take are sent again."""
LOOK = Seconds(1.0)
"""How often the outbox is looked at without being told."""


class Flush:
    """Sends what the outbox holds, one batch at a time.

    Args:
        outbox: What is sent.
        board: Shows how many usage records wait.
        chance: When to begin.
        failpoints: Hit when a batch is out.
        look_s: How often the outbox is looked at without being told.
        redated: Adds to a batch what is known of its dates.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        board: Board,
        chance: Chance,
        failpoints: Failpoints,
        look_s: Seconds = LOOK,
        redated: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> None:
        self._outbox = outbox
        self._board = board
        self._chance = chance
        self._failpoints = failpoints
        self._look_s = look_s
        self._redated = redated
        self._appended = Signal()
        self._stored = Signal()
        self._answers: deque[Stored] = deque()
        self._answered = Signal()
        self._cursors: dict[Lane, int] = {}
        self._name = outbox.name
        self._measured = True

    def appended(self) -> None:
        """There are new rows in the outbox."""
        if not self._board.brim.waiting:
            self._board.brim.waiting = 1  # at least: the next beat counts
            self._board.changed.notify()
        self._appended.notify()

    def news(self) -> None:
        """There are new rows in other lanes than the ledger."""
        self._appended.notify()

    def measured(self) -> None:
        """There are enough measurements to be sent."""
        self._measured = True
        self._appended.notify()

    async def welcomed(self, welcome: Welcome) -> None:
        """Go on from where control is.

        Raises:
            ChannelClosed: It knows rows that this disk has lost, or others: there is a new name.
        """
        name = self._outbox.name
        for lane in LANES:
            mark = welcome.stored.get(lane, Mark())
            await self._take(lane, mark, welcome.safe.get(lane, 0))
            if self._outbox.name != name:
                raise ChannelClosed("control knows other rows than this disk: a new name")
        self._name = name

    def stored(self, frame: Stored) -> None:
        """Control answered; it is written down beside whatever else is going on."""
        self._answers.append(frame)
        self._answered.notify()

    async def run(self, channel: Channel, *, spread_s: Seconds) -> None:
        """Send until cancelled; the first batch at a moment of its own within ``spread_s``.

        Raises:
            ChannelClosed: Control knows other rows than this disk: there is a new name.
        """
        self._answers.clear()
        self._measured = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._settle)
            await anyio.sleep(spread_s * self._chance.random())
            await self._send(channel)

    async def _settle(self) -> None:
        """Write down what control has stored."""
        while True:
            while self._answers:
                frame = self._answers.popleft()
                if frame.outbox == self._outbox.name:
                    await self._take(frame.lane, frame.mark, frame.safe)
                    self._check_name()
                    self._stored.notify()
            await self._answered.wait()

    async def _send(self, channel: Channel) -> None:
        while True:
            batch = await self._next()
            if not batch.rows:
                if self._board.brim.waiting:
                    self._board.changed.notify()
                await self._appended.wait(at_most_s=self._look_s)
                continue
            await channel.send(Records(outbox=self._name, batch=batch))
            self._failpoints.hit("records.sent")
            await self._until_stored(batch.lane, batch.end.seq)

    async def drained(self) -> None:
        """Wait until control has every usage record; it need not be there if there is none."""
        while await self.depth():
            await self._stored.wait()

    async def depth(self) -> int:
        """How many usage records wait."""
        level = await self._outbox.level()
        return level.lanes["ledger"].waiting

    async def _take(self, lane: Lane, mark: Mark, safe: int) -> None:
        self._cursors[lane] = mark.seq
        await self._outbox.stored(lane, mark, safe=safe)

    async def _next(self) -> Batch:
        """What is to be sent next: of the first lane that has something."""
        for lane in LANES:
            if lane == "metric" and not self._measured:
                continue
            batch = await self._read(lane)
            if 0 < len(batch.rows) < FEW:
                await anyio.sleep(GATHER)
                batch = await self._read(lane)
            if batch.rows:
                return batch
        self._measured = False
        return Batch(lane="ledger")

    async def _read(self, lane: Lane) -> Batch:
        batch = await self._outbox.read(lane, self._cursors.get(lane, 0), MANY)
        self._check_name()
        return self._redated(batch)

    def _check_name(self) -> None:
        if self._outbox.name != self._name:
            raise ChannelClosed("the outbox goes on under a new name")

    async def _until_stored(self, lane: Lane, last: int) -> None:
        """Wait for control's answer; one that is short means: again from its cursor."""
        if self._cursors[lane] >= last:
            return
        if await self._stored.wait(at_most_s=STORED_WITHIN) and self._cursors[lane] < last:
            await anyio.sleep(SHORT)
