"""Neighbour: one other node, and what both say over the channel between them.

Each greets the other every few seconds. Its way is used while greetings are answered: 12 s without
an answer, three of them in a row, end its use, and so does a lost connection at once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import anyio
from anyio import lowlevel
from anyio.abc import ObjectReceiveStream, TaskGroup

from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import LittoralError, TooLarge
from littoral.domain.ids import Digest, NodeId
from littoral.domain.link import LIVELY
from littoral.domain.neighbour import Greeting, PieceAnswer, PieceAsk, steady
from littoral.domain.ports import Chance, Channel, ChannelClosed, Failpoints
from littoral.domain.session import Goodbye
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.pieces import Asking, Read, answer
from littoral.node.relay import PEER, Relay

GREET_S: Final = Seconds(4.0)
LOOK_S: Final = Seconds(1.0)
ANSWERS: Final = 16
"""Asks of one neighbour that may wait here."""
NOT_NOW: Final = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourParts:
    """What speaking with a neighbour needs.

    ``read`` gives where pieces of blobs are read that this neighbour may have; ``changed`` is told
    of news of it.
    """

    relay: Relay
    board: Board
    chance: Chance
    failpoints: Failpoints
    read: Callable[[], Read]
    changed: Callable[["Neighbour"], None]


class Neighbour:
    """A node with whom a channel is open.

    Args:
        node: Who it is, by its certificate.
        channel: The channel; whoever opened it closes it.
        parts: The world.
    """

    def __init__(self, node: NodeId, channel: Channel, parts: NeighbourParts) -> None:
        self._parts = parts
        self._port = f"{PEER}{node}"
        self.node = node
        self.channel = channel
        self.scope = anyio.CancelScope()
        self.asking = Asking()
        self.endpoints: tuple[Endpoint, ...] = ()
        self.good = False
        self.rtt_s = Seconds(0.0)

    async def talk(self, *, first: int) -> None:
        """Speak until either end leaves, or ``scope`` is cancelled.

        Args:
            first: The first number that we give to streams, 1 where we dialled, else 2.
        """
        try:
            with self.scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._greet)
                    group.start_soon(self._look)
                    group.start_soon(self._relay, first)
                    await self._hear(group)
                    group.cancel_scope.cancel()
        finally:
            self.good = False
            self.asking.lost()
        with suppress(ChannelClosed):
            await self.channel.send(Goodbye(code="closed"))

    async def _relay(self, first: int) -> None:
        with suppress(ChannelClosed):
            await self._parts.relay.serve(self._port, self.channel, first=first)
        self.scope.cancel()

    async def _hear(self, group: TaskGroup) -> None:
        """Take what the neighbour sends; calls wait for nothing else."""
        send, receive = anyio.create_memory_object_stream[PieceAsk](ANSWERS)
        group.start_soon(self._answer, receive)
        with send, suppress(ChannelClosed):
            while True:
                frame = await self.channel.receive()
                if self._parts.relay.take(self._port, frame):
                    continue
                match frame:
                    case Greeting(endpoints=endpoints):
                        self._greeted(endpoints)
                    case PieceAsk():
                        try:
                            send.send_nowait(frame)
                        except anyio.WouldBlock:
                            refusal = PieceAnswer(number=frame.number, status=NOT_NOW)
                            await self.channel.send(refusal)
                    case PieceAnswer():
                        self.asking.heard(frame)
                    case Goodbye():
                        break
                    case _:
                        continue

    async def _answer(self, asks: ObjectReceiveStream[PieceAsk]) -> None:
        """Give pieces of blobs, one after the other."""
        with suppress(ChannelClosed):
            async with asks:
                async for ask in asks:
                    await self.channel.send(await self._piece(ask))

    async def _piece(self, ask: PieceAsk) -> PieceAnswer:
        """Read a piece; a disk that fails is this node's trouble, and no reason to part."""
        try:
            found = await answer(ask, self._parts.read())
            self._parts.failpoints.hit("piece.read")
        except (LittoralError, OSError):
            return PieceAnswer(number=ask.number, status=NOT_NOW)
        return found

    async def _greet(self) -> None:
        """Say that this node lives, and what it runs, at once and when that changes."""
        board, number = self._parts.board, 0
        told: tuple[Endpoint, ...] | None = None
        with suppress(ChannelClosed):
            while True:
                own, number = board.shown, number + 1
                changed = own if own != told else None
                await self._say(Greeting(number=number, endpoints=changed))
                told = own
                wait = GREET_S * (0.9 + 0.2 * self._parts.chance.random())
                end = anyio.current_time() + wait
                while board.shown == told and (left := end - anyio.current_time()) > 0:
                    await board.changed.wait(at_most_s=left)

    async def _say(self, greeting: Greeting) -> None:
        """Send a greeting; what runs here and is too much for one frame is not offered."""
        try:
            await self.channel.send(greeting)
        except TooLarge:
            count = len(greeting.endpoints or ())
            text = f"{count} engines are too many to tell {self.node} of: it uses none of them"
            self._parts.board.say("peers", "peer_told_nothing", text, level="error")
            await self.channel.send(replace(greeting, endpoints=()))

    def _greeted(self, endpoints: tuple[Endpoint, ...] | None) -> None:
        if endpoints is not None and endpoints != self.endpoints:
            self.endpoints = endpoints
            self._parts.changed(self)

    async def _look(self) -> None:
        """Use the way while its link carries, and know how long that is."""
        while True:
            facts = self.channel.link()
            good, rtt_s = True, Seconds(0.0)
            if facts is not None:
                good = not facts.trouble and facts.silent_s <= LIVELY.suspect_s
                rtt_s = steady(self.rtt_s, facts.rtt_s)
            if (good, rtt_s) != (self.good, self.rtt_s):
                self.good, self.rtt_s = good, rtt_s
                self._parts.changed(self)
            await anyio.sleep(LOOK_S)


async def nothing(_digest: Digest, _begin: int, _most: int) -> bytes | None:
    """What a node of another site can read of our blobs."""
    await lowlevel.checkpoint()
    return None
