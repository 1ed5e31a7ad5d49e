"""Sessions: the control end of the channel to each node."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import anyio

from littoral.control.blobs import NodeBlobs
from littoral.control.delivery import Delivery
from littoral.control.enrolment import Enrolments
from littoral.control.fleet import DISCONNECTED_S, Fleet
from littoral.control.incident import incidents
from littoral.control.link import Link, Links, is_news, refusal_of, supply, until_offered
from littoral.control.priors import Priors
from littoral.control.publish import Publisher
from littoral.control.quality import QualityBook
from littoral.control.relay import Relay
from littoral.control.remote import Neighbours
from littoral.control.rollouts import Rollouts
from littoral.control.sharing import Sharing
from littoral.control.updates import Updates
from littoral.control.worker import Bell, Workers
from littoral.domain.blob import BlobAsk, BlobProgress, BlobsHeld
from littoral.domain.errors import LittoralError
from littoral.domain.ids import NodeId
from littoral.domain.link import HANDSHAKES, RESUME_S, Rhythm, spread_s
from littoral.domain.node import Event
from littoral.domain.outbox import Lane, Mark, dated
from littoral.domain.ports import (
    Channel,
    ChannelClosed,
    Clock,
    Failpoints,
    Inbox,
    Ledger,
    Sink,
)
from littoral.domain.prior import Coefficients
from littoral.domain.release import UpdateReport
from littoral.domain.rollout import ExamScores
from littoral.domain.session import (
    LEAST_PROTOCOL,
    PROTOCOL,
    Applied,
    Beat,
    Frame,
    Goodbye,
    Hello,
    PartsWanted,
    Records,
    Remotes,
    SnapshotOffer,
    Stored,
    Welcome,
)
from littoral.domain.share import Drawn
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Done, Issued, Renew

COALESCE_S = Seconds(0.1)
TRY_AGAIN_S = Seconds(5.0)
FAREWELL_S = Seconds(1.0)
WAITING = 16
"""Frames of a node that wait while one before them is stored."""
EACH_S, LONGEST_SPREAD_S = 0.02, 60.0
"""Seconds a connected node, and at most, over which returning nodes spread what they kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What every session needs.

    ``bell`` rings when something in the desired state may have changed. ``report`` takes a foreign
    error with what it interrupted.
    """

    fleet: Fleet
    publisher: Publisher
    delivery: Delivery
    blobs: NodeBlobs
    rollouts: Rollouts
    updates: Updates
    ledger: Ledger
    inbox: Inbox
    clock: Clock
    failpoints: Failpoints
    sink: Sink
    workers: Workers
    bell: Bell
    relay: Relay
    neighbours: Neighbours
    enrolments: Enrolments
    links: Links
    sharing: Sharing
    quality: QualityBook
    priors: Priors
    report: Callable[[str, BaseException], None]
    coalesce_s: Seconds = COALESCE_S
    silence_s: Seconds = DISCONNECTED_S


class Sessions:
    """Serves node sessions; of two with one node id the newer wins."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts

    async def serve(self, channel: Channel) -> None:
        """Serve one channel until either end leaves; the handler for ``Network.listen``."""
        try:
            with suppress(ChannelClosed):
                hello = await self._hello(channel)
                if hello is not None:
                    await self._session(channel, hello)
        except anyio.get_cancelled_exc_class():
            await _part(channel, Goodbye(code="drained"))  # control stops
            raise
        except Exception as error:  # noqa: BLE001  one session's failure is not the listener's
            self._parts.report("session", error)
            await _part(channel, Goodbye(code="internal", after_s=TRY_AGAIN_S))
        finally:
            with anyio.CancelScope(shield=True):
                await channel.close()

    async def _hello(self, channel: Channel) -> Hello | None:
        """The peer's opening; None where it did not give one that we understand."""
        first = await self._next(channel)
        if not isinstance(first, Hello) or agreed(first) is None:
            spoken = first.protocol if isinstance(first, Hello) else None
            self._event("session.refused", f"a node speaks protocol {spoken}, this is {PROTOCOL}")
            await _part(channel, Goodbye(code="protocol"))
            return None
        if channel.peer not in {None, first.node}:
            self._event("session.refused", f"{channel.peer} says that it is {first.node}")
            await _part(channel, Goodbye(code="revoked"))
            return None
        refusal = self._parts.fleet.barred(first.node, verified=channel.peer is not None)
        if refusal:
            self._event("session.refused", f"{first.node} may not speak to control: {refusal}")
            await _part(channel, Goodbye(code="revoked"))
            return None
        return first

    async def _session(self, channel: Channel, hello: Hello) -> None:
        parts = self._parts
        parts.failpoints.hit("session.hello")
        node = await parts.workers.state(partial(parts.fleet.row, hello))
        rhythm = await parts.workers.state(partial(parts.fleet.rhythm, node))
        await parts.workers.state(partial(parts.publisher.catch_up, hello.node, hello.snapshot))
        stored = await parts.workers.ledger(partial(self._stored, hello))
        this = Link(hello.node, channel, anyio.CancelScope(), boot=hello.boot, shares=hello.shares)
        with this.scope:
            self._supersede(this)
            parts.fleet.joined(node, rhythm)
            parts.delivery.joined(hello.node)
            await parts.sharing.opened(hello.node)
            try:
                welcome = _welcome(parts, hello, rhythm)
                await channel.send(replace(welcome, stored=stored, flush_s=self._flush_s()))
                await self._converse(this)
            finally:
                await self._ended(this)
        if this.goodbye is not None:
            await _part(channel, this.goodbye)

    async def _converse(self, this: Link) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._offer, this)
            group.start_soon(_tell_remotes, this, self._parts.neighbours)
            group.start_soon(self._pass_on, this)
            group.start_soon(supply, this)
            group.start_soon(self._parts.updates.follow, this.node, this.channel)
            group.start_soon(self._parts.sharing.serve, this.node, this.channel)
            with suppress(ChannelClosed):
                await self._hear(this)
            group.cancel_scope.cancel()

    async def _hear(self, this: Link) -> None:
        """Take what the node sends; silence for too long ends the session.

        What belongs to calls is passed on at once, whatever the rest waits for.
        """
        send, receive = anyio.create_memory_object_stream[Frame](WAITING)

        async def take() -> None:
            with suppress(ChannelClosed):
                async for frame in receive:
                    await self._take(this, frame)
                    if this.goodbye is not None:
                        break
            group.cancel_scope.cancel()

        async with receive, anyio.create_task_group() as group:
            group.start_soon(take)
            with send, suppress(ChannelClosed):
                while (frame := await self._next(this.channel)) is not None:
                    if not self._parts.relay.take(this.node, frame):
                        await send.send(frame)
                this.goodbye = Goodbye(code="silent")

    async def _pass_on(self, this: Link) -> None:
        with suppress(ChannelClosed):
            await self._parts.relay.serve(this.node, this.channel)

    async def _next(self, channel: Channel) -> Frame | None:
        """The next frame; None after too long a silence."""
        kept_s = 0.0 if channel.link() is None else RESUME_S  # its node may take it up again
        with anyio.move_on_after(self._parts.silence_s + kept_s):
            return await channel.receive()
        return None

    async def _take(self, this: Link, frame: Frame) -> None:
        match frame:
            case Beat(status=status):
                self._parts.fleet.beat(this.node, status)
            case Records():
                self._parts.fleet.beat(this.node, None)
                await self._store(this, frame)
            case PartsWanted():
                self._parts.fleet.beat(this.node, None)
                this.wanted = frame.digests
                this.asked.ring()
            case BlobAsk() | BlobProgress() | BlobsHeld():
                self._parts.fleet.beat(this.node, None)
                await self._parts.blobs.heard(this.node, frame, channel=this.channel)
            case Coefficients():
                self._parts.fleet.beat(this.node, None)
                await self._parts.priors.heard(this.node, frame)
            case UpdateReport():
                await self._parts.updates.reported(this.node, frame)
            case ExamScores():
                await self._parts.rollouts.ran(this.node, frame)
            case Applied():
                self._applied(this, frame)
            case Renew() | Done() | Drawn():
                await self._standing(this, frame)
            case _:
                self._parts.fleet.beat(this.node, None)

    async def _standing(self, this: Link, frame: Renew | Done | Drawn) -> None:
        """Take what keeps a node one of its cluster: certificate, errands, shares of limits."""
        self._parts.fleet.beat(this.node, None)
        match frame:
            case Renew():
                await this.channel.send(await _renewed(self._parts, this.node, frame))
            case Done():
                self._parts.links.answered(this, frame)
            case Drawn():
                await self._parts.sharing.heard(this.node, frame)

    def _applied(self, this: Link, frame: Applied) -> None:
        """What became of a snapshot at its node."""
        news = is_news(this, frame)
        if not frame.ok:
            if news:
                self._event("snapshot.refused", refusal_of(this, frame))
            return
        if frame.unread and news:
            self._event("snapshot.partial", f"{this.node} serves a part: {frame.reason}")
        self._parts.fleet.beat(this.node, None)
        self._parts.delivery.applied(this.node, (frame.epoch, frame.version))

    async def _store(self, this: Link, records: Records) -> None:
        """Apply rows once, then, and only then, say so."""
        parts = self._parts
        batch = dated(records.batch, parts.clock.wall())
        try:
            book = parts.ledger if batch.lane == "ledger" else parts.inbox
            done = await parts.workers.ledger(partial(book.apply, this.node, records.outbox, batch))
        except LittoralError as error:
            self._event(f"{batch.lane}.{error.code}", error.message)
            this.goodbye = Goodbye(code=error.code, after_s=TRY_AGAIN_S)
            return
        for code, message in incidents(this.node, batch, done):
            self._event(code, message)
        parts.rollouts.take(row.usage for row in batch.rows if row.usage is not None)
        if batch.lane == "sample" and await parts.workers.state(parts.quality.fold):
            parts.bell.ring()
        parts.failpoints.hit("records.applied")
        parts.failpoints.hit("stored.sent")
        await this.channel.send(Stored(outbox=records.outbox, lane=batch.lane, mark=done.mark))

    async def _offer(self, this: Link) -> None:
        """Offer the snapshot now, after each change, and again where it was refused."""
        parts = self._parts
        sent: tuple[int, int] | None = None
        with suppress(ChannelClosed):
            while True:
                heard = parts.bell.count
                issued = await parts.workers.state(partial(parts.publisher.issue, this.node))
                if issued.number != sent or this.again:
                    limits = parts.publisher.limits
                    await parts.sharing.before(this.node, this.channel, limits, says=this.shares)
                    this.parts = issued.parts
                    this.again = False
                    now = parts.clock.wall()
                    await this.channel.send(SnapshotOffer(manifest=issued.token, server_us=now))
                    sent = issued.number
                await until_offered(this, parts.bell, heard, issued=issued, clock=parts.clock)
                await anyio.sleep(parts.coalesce_s)

    def _stored(self, hello: Hello) -> Mapping[Lane, Mark]:
        """How far each lane of the outbox is applied."""
        parts = self._parts
        mark = parts.ledger.cursor(hello.node, hello.outbox)
        return {**parts.inbox.cursors(hello.node, hello.outbox), "ledger": mark}

    def _flush_s(self) -> Seconds:
        """Over how long nodes that all come back at once should begin to send."""
        return Seconds(min(LONGEST_SPREAD_S, EACH_S * self._parts.links.count))

    def _supersede(self, this: Link) -> None:
        if self._parts.links.opened(this) is not None:
            self._event("node.superseded", f"{this.node} opened a second session: the newer wins")
        if self._parts.links.cloned(this.node):
            self._event(
                "node.cloned",
                f"{this.node} comes from two machines by turns: its disk was copied. Revoke it, "
                "and let both join anew",
            )

    async def _ended(self, this: Link) -> None:
        if self._parts.links.ended(this):
            with anyio.CancelScope(shield=True):
                await self._parts.sharing.ended(this.node)
            self._parts.fleet.left(this.node)
            self._parts.delivery.left(this.node)
            self._parts.blobs.pulls.left(this.node)

    def _event(self, code: str, message: str) -> None:
        self._parts.sink.emit(
            Event(
                at_us=self._parts.clock.wall(),
                level="warning",
                subject="session",
                code=code,
                message=message,
            )
        )


def _welcome(parts: SessionParts, hello: Hello, rhythm: Rhythm) -> Welcome:
    return Welcome(
        protocol=agreed(hello) or PROTOCOL,
        server_us=parts.clock.wall(),
        beat_s=rhythm.beat_s,
        suspect_s=rhythm.suspect_s,
        lost_s=rhythm.lost_s,
        spread_s=spread_s(parts.fleet.count, HANDSHAKES),
        stored={},
    )


def agreed(hello: Hello) -> int | None:
    """The newest protocol that both ends speak; None where there is none."""
    newest = min(hello.protocol, PROTOCOL)
    return newest if newest >= max(hello.least, LEAST_PROTOCOL) else None


async def _tell_remotes(this: Link, neighbours: Neighbours) -> None:
    """Tell the node of the others' endpoints, whenever these change."""
    told: Remotes | None = None
    with suppress(ChannelClosed):
        while True:
            heard, remotes = neighbours.bell.count, neighbours.of(this.node)
            if remotes != told and (told or neighbours.several):
                await this.channel.send(remotes)
                told = remotes
            await neighbours.bell.wait(heard)


async def _part(channel: Channel, goodbye: Goodbye) -> None:
    """Say goodbye, without waiting long for a peer that does not listen."""
    with anyio.move_on_after(FAREWELL_S, shield=True), suppress(ChannelClosed):
        await channel.send(goodbye)


async def _renewed(parts: SessionParts, node: NodeId, frame: Renew) -> Issued:
    """A new certificate, or why there is none."""
    try:
        issued, rows = await parts.workers.state(
            partial(parts.enrolments.renew, node, frame.csr, held=frame.held)
        )
    except LittoralError as error:
        return Issued(chain="", ca="", server_us=parts.clock.wall(), reason=error.message)
    for row in rows:
        parts.fleet.learn(row)
    return issued
