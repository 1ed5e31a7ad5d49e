"""Network: channels whose sessions outlive a connection, over any carrier of pipes."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

import anyio
from anyio.abc import TaskGroup, TaskStatus

from littoral.app.link.header import Accept, Offer, opening, read_accept, read_offer
from littoral.app.link.mux import Mux
from littoral.domain.errors import Damaged, LittoralError
from littoral.domain.ids import NodeId
from littoral.domain.link import RESUME_S, Peer
from littoral.domain.pipe import Carrier, Pipe, PipeClosed
from littoral.domain.ports import Chance, Channel, ChannelClosed, Clock, Entropy, Failpoints, Shed
from littoral.domain.units import Micros, Seconds

OPENING_S: Final = Seconds(10.0)
"""How long the first message may take."""
SESSION_BYTES: Final = 16
AGAIN_S: Final = Seconds(5.0)
"""Within how long each try to resume comes after the one before."""
RECHECK_S: Final = Seconds(60.0)
"""How often the end of a certificate is compared with the clock, which may jump."""
MOST_SESSIONS: Final = 3
"""Sessions that one node may have: one, one that it lost, and one that it is opening."""

Handler: TypeAlias = Callable[[Channel], Awaitable[None]]
Admit: TypeAlias = Callable[[Peer], str]
"""Why a node is turned away for good, for people; empty where it may come in."""


def _anybody(_peer: Peer) -> str:
    return ""


def _for_ever() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkParts:
    """What sessions over a network need of the world.

    ``carrier`` opens and accepts connections, ``entropy`` makes session ids that nobody guesses;
    a session whose connection was lost is kept for ``resume_s``; ``admit`` judges who dials;
    ``holds`` is when the certificate ends that this end shows when it dials, None: never.
    """

    carrier: Carrier
    clock: Clock
    chance: Chance
    entropy: Entropy
    failpoints: Failpoints
    resume_s: Seconds = RESUME_S
    admit: Admit = _anybody
    holds: Callable[[], Micros | None] = _for_ever


def _untold() -> None:
    return None


@dataclass(frozen=True, slots=True)
class _End:
    """When the certificate of a connection's node ends, and what time the other end told."""

    until: Micros | None
    told: Callable[[], Micros | None] = _untold

    @property
    def grace_s(self) -> Seconds:
        """How long the other end may take to tell the time."""
        return OPENING_S if self.told is not _untold and self.told() is None else Seconds(0.0)

    def left_s(self, clock: Clock) -> float:
        """Seconds until then; for ever where there is no end."""
        told = self.told()
        now = clock.wall() if told is None else told
        return math.inf if self.until is None else (self.until - now) / 1e6


@dataclass(slots=True, eq=False)
class _Session:
    """A session at the listening end; ``pipes`` counts the connections that carried it."""

    id: bytes
    mux: Mux
    peer: Peer | None
    pipes: int = 0


@dataclass(slots=True, eq=False)
class _Listener:
    handler: Handler
    group: TaskGroup
    sessions: dict[bytes, _Session] = field(default_factory=dict[bytes, _Session])

    def find(self, offer: Offer, peer: Peer | None) -> _Session | None:
        """The session that this node may go on with."""
        found = self.sessions.get(offer.session)
        if found is None or found.mux.over or _node(found.peer) != _node(peer):
            return None
        return found

    def excess(self, peer: Peer | None) -> list[_Session]:
        """The oldest sessions of this node, beyond what it may have."""
        if peer is None:
            return []
        held = [each for each in self.sessions.values() if _node(each.peer) == peer.node]
        return held[: max(0, len(held) - MOST_SESSIONS)]


class LinkNetwork:
    """Dials and serves sessions that outlive their connections.

    Args:
        parts: The world.
    """

    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts

    # ---- dialling

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Channel]:
        """Open a session; it lives through lost connections for as long as the listener allows."""
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            mux = Mux(clock=self._parts.clock)
            try:
                await group.start(self._keep, address, mux)
                yield mux
            except Exception as error:  # noqa: BLE001  raised below: the group would wrap it
                failure = error
            finally:
                await mux.close()
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _keep(self, address: str, mux: Mux, *, task_status: TaskStatus[None]) -> None:
        """Connect, and again after each loss, until the session is over."""
        parts, accept = self._parts, None
        lost = parts.clock.now()
        while not mux.over:
            wait_s = AGAIN_S
            try:
                until = parts.holds()
                async with parts.carrier.dial(address) as pipe:
                    session = b"" if accept is None else accept.session
                    answer = await _offer(pipe, Offer(session=session, seen=_three(mux.seen)))
                    if accept is None:
                        task_status.started()
                    elif not answer.resumed:
                        await mux.end("gone", "control does not have this session any more")
                        return
                    accept = answer
                    end = _End(until, lambda: mux.told_us)
                    await self._carried(mux, pipe, answer.seen, end=end)
                lost = parts.clock.now()
            except (ChannelClosed, Damaged, TimeoutError) as error:
                if accept is None and isinstance(error, ChannelClosed):
                    raise
                if accept is None:
                    raise ChannelClosed(str(error) or "no answer") from error
                mux.say_trouble(str(error) or "no answer")
                wait_s = mux.spread_s if isinstance(error, Shed) else AGAIN_S
            left = accept.resume_s - (parts.clock.now() - lost)
            if left <= 0:
                await mux.end("lost", mux.link().trouble)
            elif not mux.over:
                await anyio.sleep(min(left, wait_s * parts.chance.random()))

    # ---- serving

    @asynccontextmanager
    async def listen(self, address: str, handler: Handler) -> AsyncGenerator[None]:
        """Serve each new session with ``handler`` in its own task until the context ends."""
        async with anyio.create_task_group() as group:
            listener = _Listener(handler, group)
            serve = partial(self._accept, listener)
            async with self._parts.carrier.listen(address, serve):
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()

    async def _accept(self, listener: _Listener, pipe: Pipe) -> None:
        """Serve one connection: with the session that it asks for, or with a new one."""
        offer = await self._offered(pipe)
        if offer is None:
            return
        session, parts = listener.find(offer, pipe.peer), self._parts
        resumed = session is not None
        if session is None:
            session = _Session(
                id=parts.entropy.bytes(SESSION_BYTES),
                mux=Mux(clock=parts.clock, peer=_node(pipe.peer)),
                peer=pipe.peer,
            )
            listener.sessions[session.id] = session
            for each in listener.excess(pipe.peer):
                listener.group.start_soon(each.mux.end, "superseded", "a newer session")
            listener.group.start_soon(self._serve, listener, session)
        session.pipes += 1
        mine = session.pipes
        try:
            if resumed:
                parts.failpoints.hit("session.resumed")
            answer = Accept(
                session=session.id,
                resumed=resumed,
                seen=_three(session.mux.seen),
                resume_s=parts.resume_s,
            )
            await pipe.send(opening(answer))
            until = None if pipe.peer is None else pipe.peer.until_us
            seen = offer.seen if resumed else (0, 0, 0)
            await self._carried(session.mux, pipe, seen, end=_End(until))
        except (PipeClosed, LittoralError) as error:
            session.mux.say_trouble(str(error))
        finally:
            listener.group.start_soon(self._lapse, session, mine)

    async def _offered(self, pipe: Pipe) -> Offer | None:
        """What the other end asks for; None where it is turned away."""
        reason, refusal = self._refusal(pipe.peer)
        try:
            if reason:
                await pipe.close(reason, refusal)
                return None
            with anyio.fail_after(OPENING_S):
                return read_offer(await pipe.receive())
        except (Damaged, PipeClosed, TimeoutError) as error:
            await pipe.close("protocol", str(error))
        return None

    def _refusal(self, peer: Peer | None) -> tuple[str, str]:
        """The reason of a close and why, in words, where this node gets no session; else empty."""
        if peer is None:
            return "", ""
        refused = self._parts.admit(peer)
        if refused:
            return "revoked", refused
        if not peer.from_us <= self._parts.clock.wall() < peer.until_us:
            return "certificate", "the certificate of the node does not hold now"
        return "", ""

    async def _carried(self, mux: Mux, pipe: Pipe, seen: tuple[int, ...], *, end: _End) -> None:
        """Let the connection carry the session, no longer than the node's certificate holds."""
        async with anyio.create_task_group() as group:
            if end.until is not None:
                group.start_soon(self._until, pipe, end)
            await mux.carry(pipe, seen)
            group.cancel_scope.cancel()

    async def _until(self, pipe: Pipe, end: _End) -> None:
        """Close at a certificate's end, by control's time once it is told, else by our own.

        Our clock may be ahead: at the dialling end control, which judges by its own, has let us in.
        """
        left = end.left_s(self._parts.clock)
        if left <= 0:
            await anyio.sleep(end.grace_s)
            left = end.left_s(self._parts.clock)
        while left > 0:
            await anyio.sleep(min(left, RECHECK_S))
            left = end.left_s(self._parts.clock)
        await pipe.close("certificate", "the certificate of the node has ended")

    async def _serve(self, listener: _Listener, session: _Session) -> None:
        try:
            await listener.handler(session.mux)
        except* ChannelClosed:
            pass  # the peer left: its handler has nothing more to do
        finally:
            with anyio.CancelScope(shield=True):
                await session.mux.close()
            del listener.sessions[session.id]

    async def _lapse(self, session: _Session, mine: int) -> None:
        """End a session that no other connection took over in time."""
        if not session.mux.over:
            await anyio.sleep(self._parts.resume_s)
        if session.pipes == mine:
            await session.mux.end("lost", session.mux.link().trouble)


async def _offer(pipe: Pipe, offer: Offer) -> Accept:
    await pipe.send(opening(offer))
    with anyio.fail_after(OPENING_S):
        return read_accept(await pipe.receive())


def _node(peer: Peer | None) -> NodeId | None:
    return None if peer is None else peer.node


def _three(seen: tuple[int, ...]) -> tuple[int, int, int]:
    control, inference, telemetry = seen
    return control, inference, telemetry
