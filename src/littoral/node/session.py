"""The node's session with control: state comes down, status and usage go up, and neither is needed.

Everything works without it, for ever: the node serves from its held snapshot and keeps its records.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from littoral.domain.blob import BlobOffer
from littoral.domain.errors import LittoralError
from littoral.domain.link import LIVELY
from littoral.domain.node import NodeStatus
from littoral.domain.ports import (
    Chance,
    Channel,
    ChannelClosed,
    Clock,
    Failpoints,
    Network,
    Outbox,
    Shed,
)
from littoral.domain.session import (
    Beat,
    Frame,
    Goodbye,
    Hello,
    PartPiece,
    Records,
    Remotes,
    SnapshotOffer,
    Stored,
    Welcome,
)
from littoral.domain.units import Seconds
from littoral.domain.usage import StoredRecord
from littoral.node.artefact import Artefacts
from littoral.node.backoff import Patience
from littoral.node.board import Board
from littoral.node.redial import NEAR, Pace, Redial, is_shed, watch, why
from littoral.node.relay import CONTROL, Relay
from littoral.node.signal import Signal
from littoral.node.snapshot import HeldSnapshot
from littoral.node.taking import Taking

WELCOME_WITHIN = Seconds(10.0)
STORED_WITHIN = Seconds(10.0)
"""No answer to records for so long: send them again from control's cursor."""
GATHER = Seconds(0.1)
"""How long records may wait for company."""
FEW, MANY = 50, 500
"""Rows of a batch: wait for the first number, never send more than the second."""
SHORT = Seconds(1.0)
"""Pause before records that control did not take are sent again."""
LOOK = Seconds(1.0)
"""How often the outbox is looked at without being told."""
SETTLE = Seconds(0.2)
"""Changes within this time are told together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What a session needs; ``hello`` is said with the present outbox and snapshot."""

    network: Network
    address: str
    hello: Hello
    held: HeldSnapshot
    outbox: Outbox
    board: Board
    clock: Clock
    chance: Chance
    failpoints: Failpoints
    patience: Patience
    relay: Relay
    pace: Pace = NEAR
    artefacts: Artefacts | None = None


class Uplink:
    """Dials control again and again, and runs one session after the other.

    Args:
        parts: The world.
    """

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._appended = Signal()
        self._stored = Signal()
        self._taking = Taking(parts.held, parts.board)
        self._cursor = 0
        self._channel: Channel | None = None
        self._redial = Redial(parts.pace, parts.chance)
        self.connected = False
        self.trouble: str = ""
        """Why there is no session, for people; empty while there is one."""

    def appended(self) -> None:
        """There are new records in the outbox."""
        board = self._parts.board
        if not board.outbox_depth:
            board.outbox_depth = 1  # at least: the next beat counts
            board.changed.notify()
        self._appended.notify()

    async def post(self, frame: Frame) -> None:
        """Send control a frame now. Raises ``ChannelClosed`` without a session."""
        if self._channel is None or not self.connected:
            raise ChannelClosed("control is not connected")
        await self._channel.send(frame)

    async def run(self) -> None:
        """Keep a session until cancelled."""
        parts = self._parts
        while True:
            began, failure = parts.clock.now(), None
            try:
                async with parts.network.dial(parts.address) as channel:
                    self._channel = channel
                    await self._session(channel)
            except* (ChannelClosed, LittoralError, TimeoutError) as group:
                failure = group  # whatever it was, the next try starts from control's cursor
            self._lost(why(failure))
            wait = self._redial.after(
                parts.clock.now() - began,
                shed=is_shed(failure),
                longest_s=parts.patience.longest_s,
            )
            await anyio.sleep(wait)

    @property
    def reachable(self) -> bool:
        """Whether control hears us now; a session that lost its connection is not enough."""
        if not self.connected or self._channel is None:
            return False
        facts = self._channel.link()
        return facts is None or not (facts.trouble or facts.silent_s > LIVELY.suspect_s)

    def _lost(self, reason: str) -> None:
        """Say once that control is gone, or anew where the reason is another one."""
        board = self._parts.board
        if self.connected:
            board.say("session", "session_ended", f"control is not connected: {reason}")
            board.cut_off("control is not connected")
        elif reason != self.trouble:
            board.say("session", "session_failed", reason, level="warning")
        self.connected, self._channel, self.trouble = False, None, reason

    async def flush(self) -> None:
        """Wait until control has stored everything; it need not be there if there is nothing."""
        while await self._parts.outbox.depth():
            await self._stored.wait()

    async def _session(self, channel: Channel) -> None:
        parts = self._parts
        hello = replace(parts.hello, outbox=parts.outbox.name, snapshot=parts.held.number)
        await channel.send(hello)
        with anyio.fail_after(WELCOME_WITHIN):
            welcome = await channel.receive()
        if not isinstance(welcome, Welcome):
            raise ChannelClosed(f"control said {welcome!r} instead of welcome")
        await self._is_stored(welcome.stored)
        if parts.outbox.name != hello.outbox:
            raise ChannelClosed("control knows records that this disk has lost: a new name")
        self.connected, self.trouble = True, ""
        self._redial.spread_s = welcome.spread_s
        parts.board.outbox_depth = await parts.outbox.depth()
        parts.board.say("session", "session_began", "control is connected")
        self._taking = Taking(parts.held, parts.board)
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat, channel, welcome.beat_s)
            group.start_soon(self._push, channel)
            group.start_soon(self._taking.run, channel)
            group.start_soon(watch, channel, parts.board)
            group.start_soon(partial(parts.relay.serve, CONTROL, channel, first=1))
            if parts.artefacts is not None:
                group.start_soon(parts.artefacts.connected)
            await self._listen(channel)

    async def _listen(self, channel: Channel) -> None:
        """Take what control sends; calls of other nodes wait for nothing else."""
        while True:
            frame = await channel.receive()
            if self._parts.relay.take(CONTROL, frame):
                continue
            match frame:
                case SnapshotOffer() | PartPiece():
                    self._taking.take(frame)
                case Remotes():
                    self._parts.board.put_remotes(frame.endpoints)
                case BlobOffer() if self._parts.artefacts is not None:
                    self._parts.artefacts.offered(frame)
                case Stored() if frame.outbox == self._parts.outbox.name:
                    await self._is_stored(frame.upto)
                case Goodbye(code="drained" | "overloaded"):
                    raise Shed(f"control said goodbye: {frame.code}")
                case Goodbye():
                    raise ChannelClosed(f"control said goodbye: {frame.code}")
                case _:
                    continue

    async def _is_stored(self, upto: int) -> None:
        self._cursor = upto
        await self._parts.outbox.stored(upto)
        self._stored.notify()

    async def _beat(self, channel: Channel, every: Seconds) -> None:
        """Beat on time, and at once when the status changed."""
        board, clock = self._parts.board, self._parts.clock
        told: NodeStatus | None = None
        number, due = 0, clock.now()
        while True:
            late = clock.now() >= due
            if board.outbox_depth:
                board.outbox_depth = await self._parts.outbox.depth()
            if late or board.has_events or board.status() != told:
                status = board.status()
                news = board.take_events()
                changed = replace(status, events=news) if news or status != told else None
                number += 1
                await channel.send(Beat(number=number, status=changed))
                told = status
            if late:
                due = Seconds(clock.now() + every * (0.9 + 0.2 * self._parts.chance.random()))
            if await board.changed.wait(at_most_s=max(0.0, due - clock.now())):
                await anyio.sleep(SETTLE)

    async def _push(self, channel: Channel) -> None:
        """Send records from control's cursor on, one batch at a time."""
        while True:
            rows = await self._rows()
            if not rows:
                if self._parts.board.outbox_depth:
                    self._parts.board.changed.notify()
                await self._appended.wait(at_most_s=LOOK)
                continue
            await channel.send(Records(outbox=self._parts.outbox.name, rows=tuple(rows)))
            self._parts.failpoints.hit("records.sent")
            await self._until_stored(rows[-1].seq)

    async def _rows(self) -> Sequence[StoredRecord]:
        rows = await self._parts.outbox.read(self._cursor, MANY)
        if 0 < len(rows) < FEW:
            await anyio.sleep(GATHER)
            rows = await self._parts.outbox.read(self._cursor, MANY)
        return rows

    async def _until_stored(self, last: int) -> None:
        """Wait for control's answer; one that is short means: again from its cursor."""
        if self._cursor >= last:
            return
        if await self._stored.wait(at_most_s=STORED_WITHIN) and self._cursor < last:
            await anyio.sleep(SHORT)
