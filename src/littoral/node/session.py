"""The node's session with control: state comes down, status and usage go up, and neither is needed.

Everything works without it, for ever: the node serves from its held snapshot and keeps its records.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import anyio

from littoral.domain.blob import BlobOffer
from littoral.domain.errors import LittoralError
from littoral.domain.link import LIVELY, LinkFacts
from littoral.domain.node import NodeStatus
from littoral.domain.pipe import PipeClosed
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
    Remotes,
    SnapshotOffer,
    Stored,
    Welcome,
)
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Revoke
from littoral.node.artefact import Artefacts
from littoral.node.backoff import Patience
from littoral.node.board import Board
from littoral.node.flush import LOOK, Flush
from littoral.node.redial import (
    LOOK_EVERY,
    NEAR,
    Pace,
    Redial,
    back_after,
    code_of,
    is_shed,
    watch,
    why,
)
from littoral.node.relay import CONTROL, Relay
from littoral.node.sharing import Sharing
from littoral.node.signal import Signal
from littoral.node.snapshot import HeldSnapshot
from littoral.node.standing import Standing
from littoral.node.taking import Taking

WELCOME_WITHIN = Seconds(10.0)
START = Seconds(5.0)
"""Control may start beside this node: until then no event says that it cannot be reached."""
SETTLE = Seconds(0.2)
"""Changes within this time are told together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What a session needs; ``hello`` is said with the present outbox and snapshot.

    ``hear`` takes frames of upkeep, and says whether a frame is one; ``lost`` is told the
    code of a session's end; ``told`` takes what control says of other nodes.
    """

    network: Network
    address: str
    hello: Hello
    held: HeldSnapshot
    standing: Standing
    outbox: Outbox
    board: Board
    clock: Clock
    chance: Chance
    failpoints: Failpoints
    patience: Patience
    relay: Relay
    sharing: Sharing
    hear: Callable[[Frame], bool]
    lost: Callable[[str, bool], None]
    told: Callable[[Remotes], None]
    pace: Pace = NEAR
    artefacts: Artefacts | None = None


class Uplink:
    """Dials control again and again, and runs one session after the other.

    Args:
        parts: The world.
    """

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._taking = Taking(parts.held, parts.board)
        self.flush = Flush(
            parts.outbox,
            board=parts.board,
            chance=parts.chance,
            failpoints=parts.failpoints,
            look_s=Seconds(LOOK * parts.patience.pace),
            redated=parts.standing.dating.redated,
        )
        self._channel: Channel | None = None
        self._suspect_s = LIVELY.suspect_s
        self._redial = Redial(parts.pace, parts.chance)
        self._hurry = Signal()
        self.connected = False
        self._gone: Seconds | None = None
        self._begun = Seconds(0.0)
        self._said: str = ""
        self.trouble: str = ""
        """Why there is no session, for people; empty while there is one."""

    async def post(self, frame: Frame) -> None:
        """Send control a frame now. Raises ``ChannelClosed`` without a session."""
        if self._channel is None or not self.connected:
            raise ChannelClosed("control is not connected")
        await self._channel.send(frame)

    async def run(self) -> None:
        """Keep a session until cancelled."""
        parts = self._parts
        self._begun = parts.clock.now()
        while True:
            began, failure = parts.clock.now(), None
            try:
                async with parts.network.dial(parts.address) as channel:
                    self._channel = channel
                    await self._session(channel)
            except* (ChannelClosed, LittoralError, TimeoutError) as group:
                failure = group  # whatever it was, the next try starts from control's cursor
            self._lost(why(failure), code := code_of(failure))
            taken = code == "superseded"  # by its twin: two that took turns would never stop
            wait = self._redial.after(
                0.0 if taken else parts.clock.now() - began,
                shed=is_shed(failure),
                longest_s=parts.patience.longest_s,
            )
            await self._hurry.wait(at_most_s=wait)

    def hurry(self) -> None:
        """Wait no longer before the next try: what kept control from listening is mended."""
        self._hurry.notify()

    @property
    def reachable(self) -> bool:
        """Whether control hears us now; a session that lost its connection is not enough."""
        if not self.connected or self._channel is None:
            return False
        facts = self._channel.link()
        return facts is None or not (facts.trouble or facts.silent_s > self._suspect_s)

    def link(self) -> LinkFacts | None:
        """What was measured of the way to control; None where there is none to measure."""
        return None if self._channel is None else self._channel.link()

    def standing(self) -> tuple[bool, str]:
        """Whether control is connected, and why not, for people."""
        if self.reachable:
            return True, ""
        facts = None if self._channel is None else self._channel.link()
        told = "" if facts is None else facts.trouble or "control is silent"
        return False, self.trouble or told

    def _lost(self, reason: str, code: str) -> None:
        """Say once that control is gone, or anew where the reason is another one."""
        board, welcomed = self._parts.board, self.connected
        if welcomed:
            self._gone = self._parts.clock.now()
            text = f"control is not connected: {reason}"
            board.say("session", "session_ended", text, level="warning")
            board.cut_off("control is not connected")
            self._parts.standing.lost()
        elif reason != self._said and self._parts.clock.now() - self._begun >= START:
            board.say("session", "session_failed", reason, level="warning")
            self._said = reason
        self.connected, self._channel, self.trouble = False, None, reason
        self._parts.lost(code, welcomed)

    async def send(self, frame: Frame) -> bool:
        """Send control a frame; False where there is no session."""
        if not self.reachable or self._channel is None:
            return False
        with suppress(ChannelClosed):
            await self._channel.send(frame)
            return True
        return False

    async def _session(self, channel: Channel) -> None:
        parts = self._parts
        hello = replace(parts.hello, outbox=parts.outbox.name, snapshot=parts.held.number)
        asked = parts.clock.now()
        await channel.send(hello)
        with anyio.fail_after(WELCOME_WITHIN):
            welcome = await channel.receive()
        took_s = Seconds(parts.clock.now() - asked)
        if not isinstance(welcome, Welcome):
            code = welcome.code if isinstance(welcome, Goodbye) else "protocol"
            raise PipeClosed(code, f"control said {welcome!r} instead of welcome")
        await self.flush.welcomed(welcome)
        self.connected, self.trouble, self._said = True, "", ""
        self._redial.spread_s, self._suspect_s = welcome.spread_s, welcome.suspect_s
        ledger = (await parts.outbox.level()).lanes["ledger"]
        parts.standing.met(welcome.server_us, took_s, last=ledger.last)
        parts.board.brim.waiting = ledger.waiting
        parts.board.say("session", "session_began", back_after(self._gone, parts.clock.now()))
        self._taking = Taking(parts.held, parts.board)
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat, channel, welcome.beat_s)
            group.start_soon(partial(self.flush.run, channel, spread_s=welcome.flush_s))
            group.start_soon(self._taking.run, channel)
            group.start_soon(partial(parts.sharing.run, channel, pace=parts.patience.pace))
            group.start_soon(self._watch, channel, welcome.suspect_s)
            group.start_soon(partial(parts.relay.serve, CONTROL, channel, first=1))
            if parts.artefacts is not None:
                group.start_soon(parts.artefacts.connected)
            await self._listen(channel)

    async def _watch(self, channel: Channel, suspect_s: Seconds) -> None:
        look_s = Seconds(min(LOOK_EVERY * self._parts.patience.pace, suspect_s / 2))
        parts, turned = self._parts, self._parts.standing.look
        await watch(
            channel, parts.board, parts.clock, suspect_s=suspect_s, look_s=look_s, turned=turned
        )

    async def _listen(self, channel: Channel) -> None:
        """Take what control sends; calls of other nodes wait for nothing else."""
        while True:
            frame = await channel.receive()
            if self._parts.relay.take(CONTROL, frame) or self._parts.hear(frame):
                continue
            if self._parts.sharing.take(frame):
                continue
            match frame:
                case SnapshotOffer() | PartPiece() | Revoke():
                    self._offered(frame)
                case Remotes():
                    self._parts.told(frame)
                case BlobOffer() if self._parts.artefacts is not None:
                    self._parts.artefacts.offered(frame)
                case Stored():
                    self.flush.stored(frame)
                case Goodbye(code="drained" | "overloaded"):
                    raise Shed(f"control said goodbye: {frame.code}")
                case Goodbye():
                    raise PipeClosed(frame.code, f"control said goodbye: {frame.code}")
                case _:
                    continue

    def _offered(self, frame: SnapshotOffer | PartPiece | Revoke) -> None:
        """Take what is to be served from now on; what is not any more, at once."""
        if isinstance(frame, Revoke):
            self._parts.held.revoke(frame.keys)
            return
        if isinstance(frame, SnapshotOffer) and frame.server_us is not None:
            facts = self.link()
            took_s = Seconds(0.0) if facts is None else facts.rtt_s
            self._parts.standing.met(frame.server_us, took_s)
        self._taking.take(frame)

    async def _beat(self, channel: Channel, every: Seconds) -> None:
        """Beat on time, and at once when the status changed."""
        board, clock = self._parts.board, self._parts.clock
        told: NodeStatus | None = None
        number, due = 0, clock.now()
        while True:
            late = clock.now() >= due
            if board.brim.waiting:
                board.brim.waiting = await self.flush.depth()
            status = board.status()
            if late or status != told:
                changed = status if status != told else None
                number += 1
                await channel.send(Beat(number=number, status=changed))
                told = status
            if late:
                due = Seconds(clock.now() + every * (0.9 + 0.2 * self._parts.chance.random()))
            if await board.changed.wait(at_most_s=max(0.0, due - clock.now())):
                await anyio.sleep(SETTLE)
