"""Links: the sessions that are open, and what is asked of nodes over them."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from littoral.control.worker import Bell
from littoral.domain.errors import DeadlinePassed, Unavailable
from littoral.domain.ids import NodeId
from littoral.domain.node import Link as Measured
from littoral.domain.ports import Channel, ChannelClosed, Clock
from littoral.domain.session import Applied, Frame, Goodbye, PartPiece
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do, Done, Verb
from littoral.trust.manifest import Issued

BOOTS = 8
"""Starts of a node that are remembered."""
ANSWER_WITHIN = Seconds(30.0)
TOLD_WITHIN = Seconds(1.0)
"""Who does not take a frame for so long gets what it says later, by another way."""


PIECE = 16 * 1024
"""Bytes of a part that travel in one frame."""
OFFER_AGAIN_S = Seconds(60.0)
"""How soon a snapshot is offered again that a node did not take."""


@dataclass(slots=True, eq=False)
class Link:
    """A session under way.

    ``shares`` is whether the node says what it holds of limits. ``goodbye`` is what ends it from
    this side; ``parts`` are those of the snapshot that was offered last, of which the node has
    asked for ``wanted``; ``refused`` is why it did not take it, or all, and ``again`` that it is to
    be offered once more.
    """

    node: NodeId
    channel: Channel
    scope: anyio.CancelScope
    boot: str = ""
    shares: bool = False
    began: Seconds = Seconds(0.0)
    goodbye: Goodbye | None = None
    parts: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    wanted: tuple[str, ...] = ()
    asked: Bell = field(default_factory=Bell)
    refused: str = ""
    again: bool = False
    waiting: dict[int, "_Answer"] = field(default_factory=dict[int, "_Answer"])


class _Answer:
    """A place for one answer."""

    def __init__(self) -> None:
        self.done: Done | None = None
        self.event = anyio.Event()


class Links:
    """Open sessions by node: of two with one id the newer wins.

    Args:
        clock: Dates them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[NodeId, Link] = {}
        self._number = 0
        self._boots: dict[NodeId, deque[str]] = {}
        self._turns: dict[NodeId, bool] = {}
        self._first: dict[NodeId, Seconds] = {}
        self._up: dict[NodeId, float] = {}

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def opened(self, link: Link) -> Link | None:
        """A session begins; returns the one that it replaces, which is told and ended."""
        older = self._open.get(link.node)
        link.began = self._clock.now()
        self._open[link.node] = link
        self._first.setdefault(link.node, link.began)
        boots = self._boots.setdefault(link.node, deque(maxlen=BOOTS))
        self._turns[link.node] = link.boot in boots and boots[-1] != link.boot
        if not boots or boots[-1] != link.boot:
            boots.append(link.boot)
        if older is not None:
            self._count(older)
            older.goodbye = Goodbye(code="superseded")
            older.scope.cancel()
        return older

    async def tell_all(self, frame: Frame) -> None:
        """Send a frame on every session now; one that does not take it in time is left out."""

        async def tell(link: Link) -> None:
            with suppress(ChannelClosed):
                await link.channel.send(frame)

        with anyio.move_on_after(TOLD_WITHIN):
            async with anyio.create_task_group() as group:
                for link in self._open.values():
                    group.start_soon(tell, link)

    def cloned(self, node: NodeId) -> bool:
        """Whether the last session of this node is of a start that another start came after.

        A machine that starts anew never goes back to an earlier start: two do, by turns.
        """
        return self._turns.get(node, False)

    def ended(self, link: Link) -> bool:
        """A session ended; False where another had replaced it."""
        for answer in link.waiting.values():
            answer.event.set()
        if self._open.get(link.node) is not link:
            return False
        del self._open[link.node]
        self._count(link)
        return True

    def measured(self, node: NodeId) -> Measured | None:
        """How well a node with a session is reached, since its first one in this run."""
        link = self._open.get(node)
        if link is None:
            return None
        facts, now = link.channel.link(), self._clock.now()
        whole = now - self._first[node]
        up = self._up.get(node, 0.0) + now - link.began
        return Measured(
            rtt_s=Seconds(0.0 if facts is None else round(facts.rtt_s, 4)),
            goodput=0.0 if facts is None else float(f"{facts.goodput:.2g}"),
            availability=round(min(1.0, up / whole), 4) if whole > 0 else 1.0,
        )

    def _count(self, link: Link) -> None:
        """A session is over: its time counts."""
        lived = self._clock.now() - link.began
        self._up[link.node] = self._up.get(link.node, 0.0) + lived

    def end(self, node: NodeId, code: str) -> None:
        """End a node's session, if one is open, and tell it why."""
        link = self._open.get(node)
        if link is not None:
            link.goodbye = Goodbye(code=code)
            link.scope.cancel()

    async def tell(self, node: NodeId, frame: Frame) -> bool:
        """Send a node a frame; False where it has no session."""
        link = self._open.get(node)
        if link is None:
            return False
        with suppress(ChannelClosed):
            await link.channel.send(frame)
            return True
        return False

    async def ask(self, node: NodeId, verb: Verb, args: Mapping[str, str]) -> Done:
        """Have a node do something, and wait for what comes of it.

        Raises:
            Unavailable: It has no session, or lost it meanwhile.
            DeadlinePassed: It did not answer in time.
        """
        link = self._open.get(node)
        if link is None:
            raise Unavailable(f"{node} is not connected: it cannot be told now")
        self._number += 1
        number, answer = self._number, _Answer()
        link.waiting[number] = answer
        try:
            await link.channel.send(Do(number=number, verb=verb, args=args))
            with anyio.fail_after(ANSWER_WITHIN):
                await answer.event.wait()
        except ChannelClosed as error:
            raise Unavailable(f"{node} lost its connection meanwhile") from error
        except TimeoutError as error:
            raise DeadlinePassed(f"{node} did not answer within {ANSWER_WITHIN:.0f} s") from error
        finally:
            link.waiting.pop(number, None)
        if answer.done is None:
            raise Unavailable(f"{node} lost its connection meanwhile")
        return answer.done

    def answered(self, link: Link, done: Done) -> None:
        """A node says what came of something; an answer that nobody awaits is dropped."""
        answer = link.waiting.get(done.number)
        if answer is not None:
            answer.done = done
            answer.event.set()


def is_news(this: Link, frame: Applied) -> bool:
    """Note what became of a snapshot; whether it was refused for another reason than before."""
    this.again = this.again or not frame.ok
    before, this.refused = this.refused, frame.reason
    return before != frame.reason


def refusal_of(this: Link, frame: Applied) -> str:
    """Why a node does not serve a snapshot, for people."""
    return f"{this.node} does not serve snapshot {frame.version}: {frame.reason}"


async def until_offered(
    this: Link, bell: Bell, heard: int, *, issued: Issued, clock: Clock
) -> None:
    """Wait for a change, until what was refused may be offered again, or for an offer's extension.

    When that is due is a date, and is looked at again and again: while everything was suspended,
    dates went on and waits did not.
    """
    while bell.count == heard and not this.again:
        left_s = issued.lasts(clock.wall())
        if left_s <= 0:
            return
        with anyio.move_on_after(min(left_s, OFFER_AGAIN_S)):
            await bell.wait(heard)


async def supply(this: Link) -> None:
    """Send the parts that the node asks for; those of an older offer are not wanted any more."""
    heard = 0
    with suppress(ChannelClosed):
        while True:
            await this.asked.wait(heard)
            heard, parts = this.asked.count, this.parts
            for digest in this.wanted:
                data = parts.get(digest, b"")
                for at in range(0, len(data), PIECE):
                    piece = PartPiece(digest=digest, at=at, piece=data[at : at + PIECE])
                    await this.channel.send(piece)
